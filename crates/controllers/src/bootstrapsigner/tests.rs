//! Table tests of signatures.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::plan::plan;

fn token(id: &str, name: &str, signs: &str, expiration: &str) -> Secret {
    value!({
        "metadata": {"name": name, "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": (data(&[
            ("token-id", id), ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-signing", signs), ("expiration", expiration)
        ]))
    })
    .decode()
    .unwrap()
}

fn data(pairs: &[(&str, &str)]) -> Value {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut data = Value::object();
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        data.set((*key).to_owned(), encode(value));
    }
    data
}

#[test]
fn each_signing_token_signs() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let cluster: ConfigMap = value!({
        "metadata": {"name": "cluster-info"},
        "data": {"kubeconfig": "clusters: []", "jws-kubeconfig-gone12": "old"}
    })
    .decode()
    .unwrap();
    let tokens = [
        token("abc123", "bootstrap-token-abc123", "true", "2026-01-01T01:00:00Z"),
        token("abc124", "bootstrap-token-abc124", "false", ""),
        token("abc125", "bootstrap-token-abc125", "true", "2025-12-31T00:00:00Z"),
        token("abc126", "bootstrap-token-other1", "true", ""),
    ];
    let tokens: Vec<&Secret> = tokens.iter().collect();
    let (changed, next) = plan(&cluster, &tokens, now);
    let changed = changed.expect("another signature");
    let keys: Vec<&str> = changed.data.as_ref().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["jws-kubeconfig-abc123", "kubeconfig"]);
    // {"alg":"HS256","kid":"abc123"}
    let signature = &changed.data.as_ref().unwrap()["jws-kubeconfig-abc123"];
    assert!(signature.starts_with("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiYzEyMyJ9.."), "{signature}");
    assert_eq!(next.map(|next| next.as_secs()), Some(3600));
    assert_eq!(plan(&changed, &tokens, now).0, None, "all is as it should be");
}
