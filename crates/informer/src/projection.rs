//! What an informer keeps of each object.
//!
//! A decoded object costs about five times its JSON, so a cache keeps only
//! what its users look up; the whole object is fetched or decoded for one
//! reconcile.

use std::collections::BTreeMap;
use std::ops::Deref;

use client::{Document, Error};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ObjectKey;

/// Part of an object, kept in a cache.
pub trait Projection: Sized + Send + Sync + 'static {
    /// Reads the part from the published object.
    fn project(document: &Document) -> Result<Self, Error>;

    /// The key of the object it was read from.
    fn key(&self) -> ObjectKey;
}

/// The whole typed object, for kinds of which there are few or that are
/// needed whole at each look.
#[derive(Clone, Debug)]
pub struct Whole<K>(pub K);

impl<K> Deref for Whole<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K> Projection for Whole<K>
where
    K: Metadata<Ty = ObjectMeta> + DeserializeOwned + Send + Sync + 'static,
{
    fn project(document: &Document) -> Result<Self, Error> {
        let mut object: K = document.decode()?;
        // Ownership is the server's bookkeeping and often half of the object.
        object.metadata_mut().managed_fields = None;
        Ok(Whole(object))
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::of(self.0.metadata())
    }
}

/// The metadata that loops over any kind look at.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub revision: u64,
    pub labels: BTreeMap<String, String>,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub terminating: bool,
}

impl Projection for Meta {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Fields,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[derive(Default)]
        struct Fields {
            namespace: String,
            name: String,
            uid: String,
            labels: BTreeMap<String, String>,
            owner_references: Vec<OwnerReference>,
            finalizers: Vec<String>,
            deletion_timestamp: Option<String>,
        }
        let Part { metadata } = document.decode_part()?;
        Ok(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            revision: document.revision(),
            labels: metadata.labels,
            owners: metadata.owner_references,
            finalizers: metadata.finalizers,
            terminating: metadata.deletion_timestamp.is_some(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}
