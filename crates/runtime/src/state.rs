//! Files of the runtime's state directory: the only place that knows their
//! names.
//!
//! ```text
//! sandboxes/SANDBOX/sandbox.json          what was asked, when
//!                   stopped               there once it was stopped
//!                   shim.sock             where its shim listens
//!                   ns/{net,ipc,uts,pid}  pinned namespaces
//!                   shm/                  the pod's /dev/shm
//!                   containers/CONTAINER/container.json  what was asked, when
//!                                        config.json     OCI specification
//!                                        running.json    pid, written by the shim
//!                                        exit.json       how it ended, written by the shim
//!                   oci/CONTAINER/       libcontainer's own state
//! ```
//! A file appears whole: it is written beside and renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ContainerConfig, ContainerId, SandboxConfig, SandboxId};

/// Ending of a directory that is being removed.
const REMOVED: &str = "removed";

/// `sandbox.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) config: SandboxConfig,
    pub(crate) created_at: i64,
}

/// `container.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) config: ContainerConfig,
    pub(crate) created_at: i64,
}

/// `running.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunningRecord {
    pub(crate) pid: i32,
    pub(crate) started_at: i64,
}

/// Directory of one sandbox.
#[derive(Clone, Debug)]
pub(crate) struct SandboxDir(PathBuf);

impl SandboxDir {
    pub(crate) fn new(state: &Path, id: &SandboxId) -> Self {
        Self(state.join("sandboxes").join(id.as_str()))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes everything. It is renamed first, so that a program killed
    /// meanwhile never finds half a sandbox.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let removed = self.0.with_extension(REMOVED);
        let gone =
            |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        fs::rename(&self.0, &removed).or_else(gone)?;
        fs::remove_dir_all(&removed).or_else(gone)
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    pub(crate) fn stopped(&self) -> PathBuf {
        self.0.join("stopped")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("shim.sock")
    }

    pub(crate) fn namespaces(&self) -> PathBuf {
        self.0.join("ns")
    }

    pub(crate) fn shared_memory(&self) -> PathBuf {
        self.0.join("shm")
    }

    pub(crate) fn oci(&self) -> PathBuf {
        self.0.join("oci")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> ContainerDir {
        ContainerDir(self.containers().join(id.as_str()))
    }

    /// Ids of the containers that have a directory, sorted.
    pub(crate) fn container_ids(&self) -> Vec<ContainerId> {
        let mut ids: Vec<ContainerId> =
            names(&self.containers()).iter().filter_map(|name| ContainerId::parse(name)).collect();
        ids.sort();
        ids
    }
}

/// Directory of one container; also its OCI bundle.
#[derive(Clone, Debug)]
pub(crate) struct ContainerDir(PathBuf);

impl ContainerDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("container.json")
    }

    pub(crate) fn specification(&self) -> PathBuf {
        self.0.join("config.json")
    }

    pub(crate) fn running(&self) -> PathBuf {
        self.0.join("running.json")
    }

    pub(crate) fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }
}

/// Ends the removals that an earlier program began.
pub(crate) fn finish_removals(state: &Path) {
    let directory = state.join("sandboxes");
    for name in names(&directory).iter().filter(|name| name.ends_with(&format!(".{REMOVED}"))) {
        let _ = fs::remove_dir_all(directory.join(name));
    }
}

/// Ids of the sandboxes that have a directory, sorted.
pub(crate) fn sandbox_ids(state: &Path) -> Vec<SandboxId> {
    let mut ids: Vec<SandboxId> =
        names(&state.join("sandboxes")).iter().filter_map(|name| SandboxId::parse(name)).collect();
    ids.sort();
    ids
}

fn names(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Writes a file so that a reader sees all of it or none.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, serde_json::to_vec(value)?)?;
    fs::rename(&beside, path)
}

/// Reads what [`write`] wrote; None when it is not there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::other(format!("{}: {e}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
