//! Whether a class is protected. Pure.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use crate::protection::{self, Action};

/// The finalizer of protected classes.
pub const FINALIZER: &str = "kubernetes.io/vac-protection";

/// What of a class tells that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    pub name: String,
    pub protected: bool,
    pub terminating: bool,
}

/// The classes that a claim names: the one it wants, the one it has, and the
/// one that it is on its way to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    pub key: ObjectKey,
    pub classes: Vec<String>,
}

/// The class of a volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    pub key: ObjectKey,
    pub classes: Vec<String>,
}

impl Class {
    pub fn of(class: &VolumeAttributesClass) -> Self {
        let mut finalizers = class.metadata.finalizers.iter().flatten();
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            protected: finalizers.any(|finalizer| finalizer == FINALIZER),
            terminating: class.metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Claim {
    pub fn of(claim: core::PersistentVolumeClaim) -> Self {
        let key = ObjectKey::of(&claim.metadata);
        let status = claim.status.unwrap_or_default();
        let wanted = claim.spec.and_then(|spec| spec.volume_attributes_class_name);
        let target =
            status.modify_volume_status.and_then(|status| status.target_volume_attributes_class_name);
        let all = [wanted, status.current_volume_attributes_class_name, target];
        Self { key, classes: all.into_iter().flatten().filter(|name| !name.is_empty()).collect() }
    }
}

impl Volume {
    pub fn of(volume: core::PersistentVolume) -> Self {
        let class = volume.spec.and_then(|spec| spec.volume_attributes_class_name);
        Self {
            key: ObjectKey::of(&volume.metadata),
            classes: class.into_iter().filter(|name| !name.is_empty()).collect(),
        }
    }
}

impl Projection for Class {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(|class| Self::of(&class))
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

impl Projection for Claim {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

impl Projection for Volume {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

/// `used`: whether a claim or a volume names the class.
pub fn plan(class: &Class, used: bool) -> Action {
    protection::plan(class.terminating, class.protected, used)
}
