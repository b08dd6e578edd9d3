//! Pulls, and what they say when they fail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use image::{Error, RegistryAuth};

use crate::registry::Registry;
use crate::{archive, store};

/// As the program does at its start.
fn provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

#[tokio::test]
async fn an_image_is_pulled_once() {
    provider();
    let registry = Registry::start().await;
    registry.put(&archive("x", "f", "pulled"), "team/app", "v1", true);
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    let progress: image::Progress = Arc::new(move |now: image::PullProgress| {
        counter.fetch_max(now.bytes_done, Ordering::SeqCst);
    });
    let name = registry.name("team/app:v1");
    let image = images.pull(&name, &RegistryAuth::Anonymous, Some(progress)).await.unwrap();
    assert_eq!(image.repo_tags, std::slice::from_ref(&name));
    assert!(image.repo_digests[0].starts_with(&registry.name("team/app@sha256:")) && !image.pinned);
    assert!(seen.load(Ordering::SeqCst) > 0);
    let blobs = registry.asked("/blobs/");
    images.pull(&name, &RegistryAuth::Anonymous, None).await.unwrap();
    assert_eq!(registry.asked("/blobs/"), blobs, "nothing is fetched twice");
    // By digest, without a tag.
    let by_digest = image.repo_digests[0].clone();
    let fresh = tempfile::tempdir().unwrap();
    let content = registry.content.lock().unwrap().files[&"team/app/manifests/v1".to_owned()].clone();
    registry
        .content
        .lock()
        .unwrap()
        .files
        .insert(format!("team/app/manifests/{}", by_digest.split('@').nth(1).unwrap()), content);
    let other = store(fresh.path()).pull(&by_digest, &RegistryAuth::Anonymous, None).await.unwrap();
    assert_eq!((other.id, other.repo_tags.len()), (image.id, 0));
}

#[tokio::test]
async fn private_repositories_want_the_right_login() {
    provider();
    let registry = Registry::start().await;
    registry.put(&archive("x", "f", "secret"), "team/app", "v1", false);
    registry.content.lock().unwrap().login = Some(("ada".into(), "pass".into()));
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let name = registry.name("team/app:v1");
    let login = |password: &str| RegistryAuth::Basic { username: "ada".into(), password: password.into() };
    for auth in [RegistryAuth::Anonymous, login("wrong")] {
        let error = images.pull(&name, &auth, None).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    }
    images.pull(&name, &login("pass"), None).await.unwrap();
    assert!(!format!("{:?}", login("pass")).contains("pass"));
}

#[tokio::test]
async fn failures_are_told_apart() {
    provider();
    let registry = Registry::start().await;
    registry.put(&archive("x", "f", "x"), "team/app", "v1", false);
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let pull = |name: String| {
        let images = images.clone();
        async move { images.pull(&name, &RegistryAuth::Anonymous, None).await }
    };
    assert!(matches!(pull(registry.name("team/app:v2")).await, Err(Error::NotFound { .. })));
    assert!(matches!(pull(registry.name("nothing:v1")).await, Err(Error::NotFound { .. })));
    assert!(matches!(pull("Not A Name".into()).await, Err(Error::InvalidReference(_))));
    // Nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(pull(format!("{free}/app:v1")).await, Err(Error::Unavailable { .. })));
    // A short trouble is ridden out.
    registry.failures.store(1, Ordering::SeqCst);
    pull(registry.name("team/app:v1")).await.unwrap();
}

#[tokio::test]
async fn content_with_another_digest_is_refused() {
    provider();
    let registry = Registry::start().await;
    registry.put(&archive("x", "f", &"x".repeat(5000)), "team/app", "v1", false);
    for (path, (_, bytes)) in registry.content.lock().unwrap().files.iter_mut() {
        if path.contains("/blobs/") && bytes.starts_with(&[0x1f, 0x8b]) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let error = images.pull(&registry.name("team/app:v1"), &RegistryAuth::Anonymous, None).await.unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error:?}");
    assert!(images.list().is_empty());
}

#[tokio::test]
async fn mirrors_are_asked_first() {
    provider();
    let mirror = Registry::start().await;
    mirror.put(&archive("x", "f", "mirrored"), "team/app", "v1", false);
    let directory = tempfile::tempdir().unwrap();
    let configured = directory.path().join("registries/registry.invalid");
    std::fs::create_dir_all(&configured).unwrap();
    std::fs::write(
        configured.join("hosts.toml"),
        format!(
            "server = \"http://{0}\"\n[host.\"http://{0}\"]\ncapabilities = [\"pull\"]\n",
            mirror.address
        ),
    )
    .unwrap();
    let images = store(directory.path());
    let image = images.pull("registry.invalid/team/app:v1", &RegistryAuth::Anonymous, None).await.unwrap();
    assert_eq!(image.repo_tags, ["registry.invalid/team/app:v1"]);
}

#[tokio::test]
async fn a_mirror_gets_its_own_login_and_never_the_registrys() {
    provider();
    let mirror = Registry::start().await;
    mirror.put(&archive("x", "f", "mirrored"), "team/app", "v1", false);
    mirror.content.lock().unwrap().login = Some(("ada".into(), "pass".into()));
    let directory = tempfile::tempdir().unwrap();
    let configured = directory.path().join("registries/registry.invalid");
    std::fs::create_dir_all(&configured).unwrap();
    let images = store(directory.path());
    let configure = |header: &str| {
        let text = format!(
            "server = \"http://{0}\"\n[host.\"http://{1}\"]\ncapabilities = [\"pull\"]\n{header}",
            "127.0.0.1:1", mirror.address
        );
        std::fs::write(configured.join("hosts.toml"), text).unwrap();
    };
    let login = RegistryAuth::Basic { username: "ada".into(), password: "pass".into() };
    configure("");
    images.pull("registry.invalid/team/app:v1", &login, None).await.unwrap_err();
    // ada:pass
    configure(&format!(
        "[host.\"http://{}\".header]\nauthorization = \"Basic YWRhOnBhc3M=\"\n",
        mirror.address
    ));
    images.pull("registry.invalid/team/app:v1", &RegistryAuth::Anonymous, None).await.unwrap();
}
