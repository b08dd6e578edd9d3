//! Tokens that lie in Secrets: filled, accepted, told of when used, and gone
//! with their account.

use apimachinery::{Value, value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::Resource;

use crate::cluster::Cluster;

const SECRETS: Resource = Resource::new("", "v1", "secrets");
const ACCOUNTS: Resource = Resource::new("", "v1", "serviceaccounts");
const REVIEWS: Resource = Resource::new("authentication.k8s.io", "v1", "tokenreviews");

#[tokio::test(start_paused = true)]
async fn a_secret_holds_a_token_as_long_as_its_account_lives() {
    let cluster = Cluster::start(61, &["n1"]).await;
    let admin = &cluster.admin;
    let account = value!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart"}});
    admin.create(&ACCOUNTS, "default", account).await.unwrap();
    let secret = value!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "cart", "annotations": {"kubernetes.io/service-account.name": "cart"}}
    });
    admin.create(&SECRETS, "default", secret).await.unwrap();
    let data = |secret: &Value, key: &str| {
        String::from_utf8(STANDARD.decode(secret["data"][key].text()).unwrap()).unwrap()
    };
    admin
        .eventually("it is filled", || async {
            !admin.get(&SECRETS, "default", "cart").await.unwrap()["data"]["token"].is_null()
        })
        .await;
    let filled = admin.get(&SECRETS, "default", "cart").await.unwrap();
    assert_eq!((data(&filled, "ca.crt"), data(&filled, "namespace")), ("PEM".into(), "default".into()));

    let token = data(&filled, "token");
    let review = || async {
        let review = value!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": (token.as_str())}
        });
        admin.create(&REVIEWS, "", review).await.unwrap()["status"].clone()
    };
    let status = review().await;
    assert_eq!(status["user"]["username"].text(), "system:serviceaccount:default:cart");
    admin
        .eventually("its use is told", || async {
            let secret = admin.get(&SECRETS, "default", "cart").await.unwrap();
            secret["metadata"]["labels"]["kubernetes.io/legacy-token-last-used"].text() == "2026-11-01"
        })
        .await;

    admin.delete(&ACCOUNTS, "default", "cart").await.unwrap();
    admin
        .eventually("it is gone", || async {
            admin.get(&SECRETS, "default", "cart").await.is_err_and(|error| error.is_not_found())
        })
        .await;
    assert_eq!(review().await["error"].text(), "[invalid bearer token, Token has been invalidated]");
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_no_account_is_deleted() {
    let cluster = Cluster::start(62, &["n1"]).await;
    let admin = &cluster.admin;
    let secret = value!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "nobody", "annotations": {"kubernetes.io/service-account.name": "nobody"}}
    });
    admin.create(&SECRETS, "default", secret).await.unwrap();
    admin
        .eventually("it is gone", || async {
            admin.get(&SECRETS, "default", "nobody").await.is_err_and(|error| error.is_not_found())
        })
        .await;
    let (adds, _) = cluster.queues.adds_and_retries("serviceaccount_tokens_service");
    assert!(adds <= 3, "{adds}");
    cluster.stop();
}
