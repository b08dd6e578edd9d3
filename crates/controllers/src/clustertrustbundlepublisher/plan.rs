//! What the signer's bundles need. Pure.

use std::fmt::Write;

use k8s_openapi::api::certificates::v1::{ClusterTrustBundle, ClusterTrustBundleSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

pub const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(ClusterTrustBundle),
    Update(ClusterTrustBundle),
    /// By name.
    Delete(String),
}

/// The bundle's name: its signer, and the start of its content's SHA-256.
pub fn name_of(authority: &str) -> String {
    let mut name = format!("{}:", SIGNER.replace('/', ":"));
    for byte in &Sha256::digest(authority.as_bytes())[..12] {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// First what is to be there, then what is to go.
pub fn plan<'a>(
    bundles: impl Iterator<Item = &'a ClusterTrustBundle> + Clone,
    authority: &str,
) -> Vec<Action> {
    let name = name_of(authority);
    let is_own = |bundle: &&ClusterTrustBundle| bundle.metadata.name.as_deref() == Some(&name);
    let mut actions = Vec::new();
    match bundles.clone().find(is_own) {
        None => actions.push(Action::Create(ClusterTrustBundle {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            spec: ClusterTrustBundleSpec {
                signer_name: Some(SIGNER.to_owned()),
                trust_bundle: authority.to_owned(),
            },
        })),
        Some(bundle) if bundle.spec.trust_bundle != authority => {
            let mut bundle = bundle.clone();
            bundle.spec.trust_bundle = authority.to_owned();
            actions.push(Action::Update(bundle));
        }
        Some(_) => {}
    }
    let others = bundles.filter(|bundle| !is_own(bundle)).filter_map(|bundle| bundle.metadata.name.clone());
    actions.extend(others.map(Action::Delete));
    actions
}
