//! The signatures that there should be. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::signature;
use crate::bootstrap_tokens::Token;

pub const PUBLIC: &str = "kube-public";
pub const SYSTEM: &str = "kube-system";
pub const CLUSTER_INFO: &str = "cluster-info";
/// The part of the ConfigMap that is signed.
const SIGNED: &str = "kubeconfig";
const SIGNATURE: &str = "jws-kubeconfig-";

/// The ConfigMap with the right signatures, where it has others; and when the
/// next token expires.
pub fn plan(
    cluster: &ConfigMap,
    tokens: &[&Secret],
    now: Timestamp,
) -> (Option<ConfigMap>, Option<Duration>) {
    let data = cluster.data.clone().unwrap_or_default();
    let Some(content) = data.get(SIGNED) else { return (None, None) };
    let signing: BTreeMap<String, Token> = tokens
        .iter()
        .filter_map(|secret| Token::read(secret))
        .filter(|token| token.signs && !token.has_expired(now))
        .map(|token| (token.id.clone(), token))
        .collect();
    let next = signing.values().filter_map(|token| token.left(now)).min();
    let mut wanted: BTreeMap<String, String> = data
        .iter()
        .filter(|(key, _)| !key.starts_with(SIGNATURE))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for (id, token) in &signing {
        wanted.insert(format!("{SIGNATURE}{id}"), signature::detached(content, id, &token.secret));
    }
    let changed = (wanted != data).then(|| ConfigMap { data: Some(wanted), ..cluster.clone() });
    (changed, next)
}
