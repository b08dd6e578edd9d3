//! Logs of containers on the disk: `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`
//! and rotated ones beside them. The runtime writes; this removes.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Removes the log of one attempt with its rotated parts.
pub fn remove(directory: &Path, attempt: u32) {
    let prefix = format!("{attempt}.log");
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(&prefix)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::debug!(path = %entry.path().display(), %error, "an old log stays");
        }
    }
}

/// Removes all logs of a pod.
pub fn remove_pod(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
