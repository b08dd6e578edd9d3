//! Root file systems of containers: an overlay of an image's layers with a
//! writable directory on top.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};

use super::{DiskUsage, ImageStore, Inner, usage_of};
use crate::{Error, Result};

/// The kernel takes mount options in one page.
const LONGEST_OPTIONS: usize = 4095;

/// `container.json`: what must not be removed while the container is there.
#[derive(Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) image: String,
    pub(super) layers: Vec<String>,
}

impl ImageStore {
    /// Mounts a root file system of `image` (a reference or id) for the container
    /// and gives its path. Again for the same container: the same, with what was
    /// written to it, also after a reboot.
    pub async fn prepare(&self, image: &str, container: &str) -> Result<PathBuf> {
        let (inner, image, container) = (self.inner.clone(), image.to_owned(), container.to_owned());
        self.blocking(move || inner.prepare(&image, &container)).await
    }

    /// Unmounts and deletes the container's root file system; fine when there is
    /// none.
    pub async fn release(&self, container: &str) -> Result<()> {
        let (inner, container) = (self.inner.clone(), container.to_owned());
        self.blocking(move || {
            let directory = inner.container_directory(&container)?;
            match unmount(directory.join("rootfs"), UnmountFlags::DETACH) {
                Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
                Err(error) => {
                    return Err(Error::System(format!(
                        "unmount the root file system of container {container}: {error}"
                    )));
                }
            }
            match fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::io(format!("remove {}", directory.display()))(error))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// What the container has written to its root file system; None when it has
    /// none.
    pub async fn writable_usage(&self, container: &str) -> Option<DiskUsage> {
        let upper = self.inner.container_directory(container).ok()?.join("upper");
        if !upper.exists() {
            return None;
        }
        self.blocking(move || Ok(usage_of(&upper))).await.ok()
    }

    /// Containers that have a root file system, sorted, for cleaning up.
    pub fn containers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.inner.directory.join("containers"));
        let mut names: Vec<String> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

impl Inner {
    fn container_directory(&self, container: &str) -> Result<PathBuf> {
        let plain = !container.is_empty()
            && container.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !container.starts_with('.');
        if !plain {
            return Err(Error::System(format!("{container:?} cannot name a container's directory")));
        }
        Ok(self.directory.join("containers").join(container))
    }

    pub(super) fn container_records(&self) -> Vec<ContainerRecord> {
        let entries = fs::read_dir(self.directory.join("containers"));
        let read = |entry: fs::DirEntry| {
            serde_json::from_slice(&fs::read(entry.path().join("container.json")).ok()?).ok()
        };
        entries.into_iter().flatten().flatten().filter_map(read).collect()
    }

    fn prepare(&self, image: &str, container: &str) -> Result<PathBuf> {
        let directory = self.container_directory(container)?;
        let root = directory.join("rootfs");
        if is_mounted(&root) {
            return Ok(root);
        }
        let existing: Option<ContainerRecord> = fs::read(directory.join("container.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let (record, numbers) = {
            let mut state = self.state.lock();
            let record = match existing {
                Some(record) => record,
                None => {
                    let Some(id) = state.find(image) else {
                        return Err(Error::NotFound {
                            reference: image.to_owned(),
                            detail: " in the image store".into(),
                        });
                    };
                    let now = self.now();
                    let found = state.images.get_mut(&id).expect("find gives ids of the map");
                    found.last_used = now;
                    ContainerRecord { image: id, layers: found.layers.clone() }
                }
            };
            let number = |diff: &String| {
                state
                    .layers
                    .get(diff)
                    .map(|layer| layer.number)
                    .ok_or_else(|| Error::Damaged(format!("layer {diff} is missing")))
            };
            let numbers: Vec<u64> = record.layers.iter().map(number).collect::<Result<_>>()?;
            // Under the lock: from here on garbage collection sees the record.
            let write = || {
                for name in ["upper", "work", "rootfs"] {
                    fs::create_dir_all(directory.join(name))?;
                }
                fs::write(directory.join("container.json.new"), serde_json::to_vec(&record)?)?;
                fs::rename(directory.join("container.json.new"), directory.join("container.json"))
            };
            write().map_err(Error::io(format!("make {}", directory.display())))?;
            (record, numbers)
        };
        if numbers.is_empty() {
            return Err(Error::Damaged(format!("image {} has no layers", record.image)));
        }
        // Overlayfs wants the topmost first. Equal layers count once: the same
        // directory twice is refused, and the upper one hides the lower.
        let mut seen = std::collections::BTreeSet::new();
        let lower: Vec<String> = numbers
            .iter()
            .rev()
            .filter(|n| seen.insert(**n))
            .map(|n| self.layer_path(*n).display().to_string())
            .collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            directory.join("upper").display(),
            directory.join("work").display()
        );
        if options.len() > LONGEST_OPTIONS {
            return Err(Error::System(format!(
                "the image has {} layers; their paths do not fit into one mount, use a shorter data directory",
                lower.len()
            )));
        }
        let options =
            std::ffi::CString::new(options).map_err(|_| Error::System("a path holds a zero byte".into()))?;
        mount("overlay", &root, "overlay", MountFlags::empty(), options.as_c_str()).map_err(|error| match error {
            rustix::io::Errno::NODEV => Error::System("this kernel has no overlay file system; load it with `modprobe overlay`".into()),
            rustix::io::Errno::INVAL => Error::System(format!("mount the root file system of container {container}: {error}; the data directory must be on a file system that overlayfs can write to (ext4, xfs with ftype=1, btrfs)")),
            error => Error::System(format!("mount the root file system of container {container}: {error}")),
        })?;
        Ok(root)
    }
}

/// Is something mounted there? Its device differs from its parent's.
fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(own), Some(Ok(above))) = (fs::metadata(path), path.parent().map(fs::metadata)) else {
        return false;
    };
    own.dev() != above.dev()
}
