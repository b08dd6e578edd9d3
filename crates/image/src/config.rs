//! An image as the rest of the program sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Digest of an image's configuration, `sha256:…`: what runtimes call the image
/// id. It is also the digest that `status.containerStatuses[].imageID` falls
/// back to when the image came without a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub(crate) String);

impl ImageId {
    /// `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub id: ImageId,
    /// `docker.io/library/nginx:latest`, sorted.
    pub repo_tags: Vec<String>,
    /// `docker.io/library/nginx@sha256:…` of the manifest or index, sorted.
    pub repo_digests: Vec<String>,
    /// Bytes of its compressed layers and configuration, as `kubectl get node
    /// -o yaml` shows them.
    pub size: u64,
    /// Kept whatever garbage collection wants (imported images).
    pub pinned: bool,
    pub config: ImageConfig,
}

/// What an image says about running it (OCI image configuration, `config`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Empty: `/`.
    pub working_dir: String,
    /// `uid`, `name`, `uid:gid` or `name:group`; empty: root. Names are looked
    /// up by [`crate::ImageStore::resolve_user`].
    pub user: String,
    /// `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `SIGQUIT`; empty: SIGTERM.
    pub stop_signal: String,
    /// Paths that the image wants on volumes of their own.
    pub volumes: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub architecture: String,
    pub os: String,
}
