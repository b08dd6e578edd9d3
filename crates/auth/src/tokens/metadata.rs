//! What of an object's metadata says whether a token that names it still counts.

use std::collections::BTreeMap;

use apiserver::View;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
pub(super) struct Object {
    pub metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub deletion_timestamp: Option<String>,
}

/// A core object, as far as `T` knows it, if it is there.
pub(super) fn find<T: DeserializeOwned>(view: &View, plural: &str, namespace: &str, name: &str) -> Option<T> {
    view.get("", plural, namespace, name).and_then(|stored| stored.decode().ok())
}
