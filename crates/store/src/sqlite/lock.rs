//! One process for a data directory: a lock that the kernel lets go of when the
//! process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::Error;

/// Holds the directory until dropped. The file is closed on exec, so programs
/// that this process starts do not keep the lock; a fork made while it is held
/// does.
pub(super) struct DirectoryLock(#[allow(dead_code, reason = "held for its lock")] File);

impl DirectoryLock {
    /// Takes the lock of `directory` or says who has it.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("store.lock");
        let unusable = |error: std::io::Error| {
            Error::Unavailable(format!(
                "cannot lock data directory {} ({error}): check that it can be written",
                directory.display()
            ))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {
                // Only for the sentence that another process will print.
                file.set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| write!(file, "{}", std::process::id()))
                    .map_err(unusable)?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let known = file.read_to_string(&mut process).is_ok() && !process.trim().is_empty();
                let process = if known { process.trim().to_owned() } else { "unknown".to_owned() };
                Err(Error::InUse { directory: directory.to_owned(), process })
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}
