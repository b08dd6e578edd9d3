//! Tests of what only the durable engine has.

use std::sync::atomic::{AtomicU8, Ordering};

/// Makes the next commits fail as a disk would.
#[derive(Default)]
pub(super) struct Faults(AtomicU8);

impl Faults {
    pub fn before(&self) -> rusqlite::Result<()> {
        self.fail_if(1)
    }

    pub fn after(&self) -> rusqlite::Result<()> {
        self.fail_if(2)
    }

    fn fail_if(&self, wanted: u8) -> rusqlite::Result<()> {
        match self.0.compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None))
            }
            Err(_) => Ok(()),
        }
    }
}
