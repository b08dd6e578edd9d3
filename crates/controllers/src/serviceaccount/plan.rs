//! Whether a namespace needs its default account. Pure.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The account of pods that name none.
pub const DEFAULT: &str = "default";

/// What was seen of a namespace.
pub struct Observed<'a> {
    pub namespace: &'a Namespace,
    pub has_account: bool,
}

/// The account to create.
pub fn plan(observed: &Observed<'_>) -> Option<ServiceAccount> {
    (is_active(observed.namespace) && !observed.has_account).then(|| ServiceAccount {
        metadata: ObjectMeta {
            name: Some(DEFAULT.into()),
            namespace: observed.namespace.metadata.name.clone(),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    })
}

/// Whether things may still be created in the namespace.
pub fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}
