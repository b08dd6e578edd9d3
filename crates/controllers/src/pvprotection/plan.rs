//! Whether a volume is protected. Pure.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::protection::{self, Action};

/// The finalizer of protected volumes.
pub const FINALIZER: &str = "kubernetes.io/pv-protection";

/// What of a volume tells that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    pub name: String,
    pub protected: bool,
    pub terminating: bool,
    pub bound: bool,
}

impl Projection for Volume {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(|volume| Self::of(&volume))
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

impl Volume {
    pub fn of(volume: &PersistentVolume) -> Self {
        let mut finalizers = volume.metadata.finalizers.iter().flatten();
        Self {
            name: volume.metadata.name.clone().unwrap_or_default(),
            protected: finalizers.any(|finalizer| finalizer == FINALIZER),
            terminating: volume.metadata.deletion_timestamp.is_some(),
            bound: volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound"),
        }
    }
}

pub fn plan(volume: &Volume) -> Action {
    protection::plan(volume.terminating, volume.protected, volume.bound)
}
