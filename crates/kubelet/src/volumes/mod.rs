//! Volumes of pods: one kind a file, each a function from the volume and what
//! it refers to, to what must lie in its directory.
//!
//! Setting up is idempotent and also refreshes: content that is as wanted is
//! not touched, so that a changed ConfigMap or a new token is the same step
//! as the first mount.

mod atomic;
mod claim;
mod config_map;
mod downward_api;
mod empty_dir;
mod files;
mod host_path;
mod mounter;
mod projected;
mod secret;
mod sub_path;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::container::fields::Facts;
use crate::pod::spec::PodExt;
use crate::pod_certificates::{Bundle, CertificateKey};
use crate::references::Payloads;
use crate::trust_bundles::TrustBundle;

pub use claim::{Claimed, fetch as fetch_claimed};
use files::Files;
pub use mounter::{KernelMounter, Mounter};
pub use sub_path::{open_sub_path, read_file};
pub use tokens::{Token, TokenKey, Tokens};

/// What volumes are made from.
pub struct Sources {
    pub payloads: Payloads,
    pub claimed: Claimed,
    pub trust_bundles: Vec<Arc<TrustBundle>>,
    pub tokens: BTreeMap<TokenKey, Token>,
    pub certificates: BTreeMap<CertificateKey, Result<Bundle, String>>,
    pub facts: Facts,
    pub now: Timestamp,
}

/// What a kind of volume wants.
enum Content {
    /// A directory that the pod may write to.
    Directory { tmpfs: Option<Option<u64>> },
    /// Files that the kubelet keeps; in memory where they are secret.
    Files { files: Files, in_memory: bool },
    /// Something of the node, as it is.
    Node(PathBuf),
    /// Something of the node, shown in the volume's own place.
    Bound(PathBuf),
}

/// Directories of pods below the kubelet's root.
#[derive(Clone)]
pub struct Volumes {
    pods: PathBuf,
    mounter: Arc<dyn Mounter>,
}

impl Volumes {
    pub fn new(root: &Path, mounter: Arc<dyn Mounter>) -> Self {
        Self { pods: root.join("pods"), mounter }
    }

    /// The pod's own directory.
    pub fn pod_directory(&self, uid: &str) -> PathBuf {
        self.pods.join(uid)
    }

    fn directory(&self, uid: &str, volume: &Volume) -> PathBuf {
        self.pod_directory(uid).join("volumes").join(plugin(volume)).join(&volume.name)
    }

    /// Sets up (or refreshes) all volumes of the pod and says where they are.
    /// Blocks on the disk. The error is the message of a FailedMount event.
    pub fn set_up(&self, pod: &Pod, sources: &Sources) -> Result<BTreeMap<String, PathBuf>, String> {
        let mut places = BTreeMap::new();
        for volume in pod.spec().volumes.iter().flatten() {
            let place = self
                .set_up_one(pod, volume, sources)
                .map_err(|why| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name))?;
            places.insert(volume.name.clone(), place);
        }
        Ok(places)
    }

    fn set_up_one(&self, pod: &Pod, volume: &Volume, sources: &Sources) -> Result<PathBuf, String> {
        let directory = self.directory(pod.uid(), volume);
        let said = |error: io::Error| error.to_string();
        match content(pod, volume, sources)? {
            Content::Node(path) => return Ok(path),
            Content::Bound(path) => {
                if !self.mounter.is_mounted(&directory) {
                    self.mounter.bind(&claim::open(&path).map_err(said)?, &directory).map_err(said)?;
                }
            }
            Content::Directory { tmpfs } => {
                make_directory(&directory, 0o777).map_err(said)?;
                if let Some(size) = tmpfs
                    && !self.mounter.is_mounted(&directory)
                {
                    self.mounter.tmpfs(&directory, size, 0o777).map_err(said)?;
                }
                files::own_writable(&directory, fs_group(pod)).map_err(said)?;
            }
            Content::Files { files, in_memory } => {
                make_directory(&directory, 0o777).map_err(said)?;
                if in_memory && !self.mounter.is_mounted(&directory) {
                    self.mounter.tmpfs(&directory, None, 0o777).map_err(said)?;
                }
                atomic::write(&directory, &files, fs_group(pod), sources.now).map_err(said)?;
            }
        }
        Ok(directory)
    }

    /// Where volumes lie that were set up before.
    pub fn places(&self, pod: &Pod) -> BTreeMap<String, PathBuf> {
        let volumes = pod.spec().volumes.iter().flatten();
        volumes
            .map(|volume| {
                let place = match &volume.host_path {
                    Some(host_path) => PathBuf::from(&host_path.path),
                    None => self.directory(pod.uid(), volume),
                };
                (volume.name.clone(), place)
            })
            .collect()
    }

    /// The pod's memory that its containers share as /dev/shm.
    pub fn shared_memory(&self, uid: &str) -> io::Result<PathBuf> {
        let directory = self.pod_directory(uid).join("shm");
        make_directory(&directory, 0o1777)?;
        if !self.mounter.is_mounted(&directory) {
            self.mounter.tmpfs(&directory, Some(64 << 20), 0o1777)?;
        }
        Ok(directory)
    }

    /// Binds a part of a volume at a place of its own, from which no link
    /// leads out of the volume.
    pub fn bind_sub_path(
        &self,
        uid: &str,
        container: &str,
        volume: &Path,
        part: &crate::container::mounts::SubPath,
    ) -> io::Result<PathBuf> {
        let opened = open_sub_path(volume, &part.path)?;
        let place = self
            .pod_directory(uid)
            .join("volume-subpaths")
            .join(&part.volume)
            .join(container)
            .join(part.index.to_string());
        self.mounter.bind(&opened, &place)?;
        Ok(place)
    }

    /// Gives back every mount of the pod; its directory stays.
    pub fn tear_down(&self, uid: &str) -> io::Result<()> {
        for mount in self.mounter.mounts_below(&self.pod_directory(uid)) {
            self.mounter.unmount(&mount)?;
        }
        Ok(())
    }

    /// Removes everything that the pod has below the kubelet's root.
    pub fn remove(&self, uid: &str) -> io::Result<()> {
        self.tear_down(uid)?;
        match fs::remove_dir_all(self.pod_directory(uid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Uids of pods that have a directory.
    pub fn known_pods(&self) -> Vec<String> {
        let mut uids: Vec<String> = fs::read_dir(&self.pods)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        uids.sort();
        uids
    }
}

/// The directory's name of the volume's kind, as upstream has it.
fn plugin(volume: &Volume) -> &'static str {
    if volume.empty_dir.is_some() {
        "kubernetes.io~empty-dir"
    } else if volume.config_map.is_some() {
        "kubernetes.io~configmap"
    } else if volume.secret.is_some() {
        "kubernetes.io~secret"
    } else if volume.projected.is_some() {
        "kubernetes.io~projected"
    } else if volume.downward_api.is_some() {
        "kubernetes.io~downward-api"
    } else if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() {
        "kubernetes.io~local-volume"
    } else {
        "kubernetes.io~other"
    }
}

fn content(pod: &Pod, volume: &Volume, sources: &Sources) -> Result<Content, String> {
    if let Some(source) = &volume.empty_dir {
        return Ok(empty_dir::content(pod, source));
    }
    if let Some(source) = &volume.config_map {
        return config_map::content(source, &sources.payloads);
    }
    if let Some(source) = &volume.secret {
        return secret::content(source, &sources.payloads);
    }
    if let Some(source) = &volume.projected {
        return projected::content(pod, &volume.name, source, sources);
    }
    if let Some(source) = &volume.downward_api {
        return downward_api::content(pod, source, &sources.facts);
    }
    if let Some(source) = &volume.host_path {
        return host_path::content(source);
    }
    if let Some(content) = claim::content(pod, volume, &sources.claimed) {
        return content;
    }
    Err("this node cannot mount volumes of this kind".into())
}

fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec().security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// Makes a directory with exactly `mode`, whatever the umask; its parents are
/// for the kubelet alone.
fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
