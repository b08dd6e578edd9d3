//! Moves what the write-ahead log has gathered into the database, on a thread
//! and a connection of its own, so that the writer does not wait for it.
//!
//! While writes go on without a pause, a passive checkpoint never quite gets to
//! the log's end and the log cannot start over. Where it has grown far, the
//! writer is asked to move the small rest itself, between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::failure::explain;
use super::log::Place;
use crate::Error;

/// After about so many pages of log a checkpoint is due (4 MiB).
const DUE: u64 = 1024;

/// With more than so many pages the writer helps (16 MiB).
const FAR: i64 = 4096;

const CACHE: u32 = 64;

/// The writer's side.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    shared: Arc<Shared>,
    /// Pages written since the last request, about.
    pages: u64,
}

struct Shared {
    place: Place,
    connection: Mutex<Option<Connection>>,
    help: AtomicBool,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(place: Place) -> Result<Self, Error> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::new(Shared { place, connection: Mutex::new(None), help: AtomicBool::new(false) });
        let of_thread = shared.clone();
        std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .stack_size(256 << 10)
            .spawn(move || of_thread.run(&woken))
            .map_err(|error| Error::Unavailable(format!("cannot start the store's checkpoint thread: {error}")))?;
        Ok(Self { wake, shared, pages: 0 })
    }

    /// Notes a commit of about `pages` pages by the writer's `connection`.
    pub fn committed(&mut self, pages: u64, connection: &Connection) {
        self.pages += pages;
        if self.pages < DUE {
            return;
        }
        self.pages = 0;
        if self.shared.help.swap(false, Ordering::AcqRel)
            && let Err(error) = passive(connection)
        {
            tracing::warn!(error = %explain(&self.shared.place.path, "checkpointing", &error), "checkpoint failed");
        }
        match self.wake.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => tracing::error!("the store's checkpoint thread has ended"),
        }
    }

    /// Lets go of the connection (waiting for a running checkpoint).
    pub fn disconnect(&self) {
        self.shared.connection.lock().take();
    }
}

impl Shared {
    fn run(&self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            let mut guard = self.connection.lock();
            let done = match guard.take().map_or_else(|| self.place.connect(CACHE), Ok) {
                Ok(connection) => passive(&connection).map(|pages| (pages, connection)),
                Err(error) => Err(error),
            };
            match done {
                Ok(((in_log, moved), connection)) => {
                    if in_log > FAR && moved < in_log {
                        self.help.store(true, Ordering::Release);
                    }
                    *guard = Some(connection);
                }
                // Nothing is lost by it: the log only grows until one succeeds.
                Err(error) => {
                    tracing::warn!(error = %explain(&self.place.path, "checkpointing", &error), "checkpoint failed");
                }
            }
        }
    }
}

/// Tells how many pages the log has and how many of them are moved.
fn passive(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
}

/// Moves everything and empties the log. Only where nothing else is connected.
///
/// # Errors
/// Where a page could not be written or another connection is in the way.
pub(super) fn complete(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)) }
}
