//! An object as the server publishes it: bytes that are decoded when needed.

use std::sync::Arc;

use apimachinery::{Value, value};
use bytes::Bytes;
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use crate::Error;

/// Canonical JSON, shared with the server's own memory in one process.
///
/// The bytes of a stored object hold no `metadata.resourceVersion`; the
/// revision stands beside them and is put in when they are decoded.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Bytes,
    /// `metadata.resourceVersion`; 0 where the object has none (a Status, a TokenReview).
    revision: u64,
}

impl Document {
    pub fn new(bytes: Bytes, revision: u64) -> Self {
        Self { bytes, revision }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The JSON as it is, maybe without `metadata.resourceVersion`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A typed view with its `metadata.resourceVersion`.
    pub fn decode<K>(&self) -> Result<K, Error>
    where
        K: DeserializeOwned + Metadata<Ty = ObjectMeta>,
    {
        let mut object: K = self.decode_part()?;
        if self.revision != 0 {
            object.metadata_mut().resource_version = Some(self.revision.to_string());
        }
        Ok(object)
    }

    /// Whatever part of the object `T` asks for; the resourceVersion may be missing.
    pub fn decode_part<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| Error::Decode(Arc::from(error.to_string())))
    }

    /// The whole tree with its `metadata.resourceVersion`.
    pub fn tree(&self) -> Result<Value, Error> {
        let mut tree: Value = self.decode_part()?;
        if self.revision != 0 {
            tree.set_at(&["metadata", "resourceVersion"], value::Value::String(self.revision.to_string()));
        }
        Ok(tree)
    }
}
