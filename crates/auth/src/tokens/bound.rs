//! Whether what a token is bound to is still there.

use apiserver::View;
use jiff::{SignedDuration, Timestamp};
use pki::{BoundObject, Claims};

use super::metadata::{Object, find};

/// A token outlives the deletion of its account, pod or secret by this much,
/// so that what runs during shutdown can still report.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Why the token does not count any more.
pub(super) fn check(claims: &Claims, view: &View, now: Timestamp) -> Result<(), String> {
    let own = &claims.kubernetes;
    let namespace = own.namespace.as_str();
    alive(
        view,
        "serviceaccounts",
        namespace,
        &own.serviceaccount,
        now,
        "service account token",
        "ServiceAccount",
    )?;
    if let Some(secret) = &own.secret {
        alive(view, "secrets", namespace, secret, now, "service account token", "Secret")?;
    }
    if let Some(pod) = &own.pod {
        alive(view, "pods", namespace, pod, now, "service account token", "Pod")?;
    }
    // A token that is bound to a pod names the node only for information.
    if let (Some(node), None) = (&own.node, &own.pod) {
        alive(view, "nodes", "", node, now, "service account token", "Node")?;
    }
    Ok(())
}

fn alive(
    view: &View,
    plural: &str,
    namespace: &str,
    bound: &BoundObject,
    now: Timestamp,
    what: &str,
    kind: &str,
) -> Result<(), String> {
    let gone = || format!("{what} has been invalidated: {kind} {:?} is gone", bound.name);
    let Object { metadata } = find(view, plural, namespace, &bound.name).ok_or_else(gone)?;
    if !bound.uid.is_empty() && metadata.uid != bound.uid {
        return Err(format!(
            "{what} has been invalidated: the UID of {kind} {:?} does not match the claim",
            bound.name
        ));
    }
    let deleted = metadata.deletion_timestamp.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    match deleted {
        Some(at) if now > at.saturating_add(LEEWAY).unwrap_or(at) => Err(gone()),
        _ => Ok(()),
    }
}
