//! What the controllers keep of a PersistentVolumeClaim.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// A claim, reduced to what loops decide by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimView {
    pub namespace: String,
    pub name: String,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub terminating: bool,
}

impl Projection for ClaimView {
    fn project(document: &Document) -> Result<Self, Error> {
        let claim: PersistentVolumeClaim = document.decode()?;
        Ok(Self {
            namespace: claim.metadata.namespace.unwrap_or_default(),
            name: claim.metadata.name.unwrap_or_default(),
            owners: claim.metadata.owner_references.unwrap_or_default(),
            finalizers: claim.metadata.finalizers.unwrap_or_default(),
            terminating: claim.metadata.deletion_timestamp.is_some(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// The name of the claim of a pod's ephemeral volume.
pub fn ephemeral_claim(pod: &str, volume: &str) -> String {
    format!("{pod}-{volume}")
}
