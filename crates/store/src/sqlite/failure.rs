//! What SQLite's errors mean for the one who reads them.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::Error;

/// What is done before anything is served.
pub(super) const OPENING: &str = "opening";

/// The sentence for `error`, which befell the database at `path` while doing
/// `what` ("committing", "reading history").
pub(super) fn explain(path: &Path, what: &str, error: &rusqlite::Error) -> Error {
    let path = path.display();
    let Some(code) = error.sqlite_error_code() else {
        return Error::Corrupt(format!(
            "{what} found a row that Corten did not write in {path} ({error}): keep a copy of the file and restore a backup"
        ));
    };
    match code {
        ErrorCode::DiskFull if what == OPENING => Error::Unavailable(format!(
            "the disk is full ({what} {path}): free some space, or choose a directory on another disk"
        )),
        ErrorCode::DiskFull => Error::Unavailable(format!(
            "the disk is full ({what} {path}): writes are refused until there is space, reads go on"
        )),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt(format!(
            "the database {path} is damaged ({error}): nothing was changed; keep a copy of the file, then restore a backup or repair it with sqlite3's .recover"
        )),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
            Error::Unavailable(format!(
                "the database {path} cannot be written ({error}): check the owner and the mode of the directory and whether its file system is mounted read-only"
            ))
        }
        ErrorCode::SystemIoFailure => Error::Unavailable(format!(
            "the disk failed while {what} {path} ({error}): check the kernel's log; writes are tried again as they come"
        )),
        _ => Error::Unavailable(format!("{what} {path} failed: {error}")),
    }
}
