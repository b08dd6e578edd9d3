//! Table tests of when tokens go.

use std::time::Duration;

use apimachinery::value;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::plan::{Action, plan};

#[test]
fn tokens_go_when_they_expire() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    for (expiration, expected) in [
        ("", Action::Nothing),
        ("2025-12-31T23:59:59Z", Action::Delete),
        ("2026-01-01T00:00:30Z", Action::Again(Duration::from_secs(30))),
        ("soon", Action::Delete),
    ] {
        let mut token: Secret = value!({"metadata": {"name": "bootstrap-token-abc123"}}).decode().unwrap();
        let data = token.data.get_or_insert_default();
        data.insert("expiration".into(), ByteString(expiration.as_bytes().to_vec()));
        assert_eq!(plan(&token, now), expected, "{expiration:?}");
    }
}
