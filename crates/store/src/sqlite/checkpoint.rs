//! Moves what the write-ahead log has gathered into the database, on a thread
//! and a connection of its own, so that the writer does not wait for it.
//!
//! While writes go on without a pause, a passive checkpoint never quite gets to
//! the log's end and the log cannot start over. Where it has grown far, the
//! writer waits for the one that runs and moves the small rest itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::failure::explain;
use super::log::Place;
use crate::Error;

/// After about so many pages of log a checkpoint is due (4 MiB).
const DUE: u64 = 1024;

/// With more than so many pages the writer helps (16 MiB).
const FAR: u64 = 4096;

const CACHE: u32 = 64;

/// The writer's side.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    shared: Arc<Shared>,
    /// Pages in the log, about.
    pages: u64,
    /// With how many pages the thread is woken, and with how many the writer helps.
    due: u64,
    far: u64,
}

struct Shared {
    place: Place,
    /// Locked while a checkpoint runs.
    connection: Mutex<Option<Connection>>,
    /// How many pages the log had when the thread last looked; 0 once read.
    in_log: AtomicU64,
}

impl Checkpoints {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(place: Place) -> Result<Self, Error> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::new(Shared { place, connection: Mutex::new(None), in_log: AtomicU64::new(0) });
        let of_thread = shared.clone();
        std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .stack_size(256 << 10)
            .spawn(move || of_thread.run(&woken))
            .map_err(|error| {
                Error::Unavailable(format!("cannot start the store's checkpoint thread: {error}"))
            })?;
        Ok(Self { wake, shared, pages: 0, due: DUE, far: FAR })
    }

    /// Notes a commit of about `pages` pages by the writer's `connection`.
    pub fn committed(&mut self, pages: u64, connection: &Connection) {
        let in_log = self.shared.in_log.swap(0, Ordering::AcqRel);
        if in_log > 0 {
            // Less than before where the log has started over.
            (self.pages, self.due) = (in_log, in_log + DUE);
            if in_log < FAR {
                self.far = FAR;
            }
        }
        self.pages += pages;
        if self.pages >= self.far {
            self.help(connection);
        } else if self.pages >= self.due {
            self.due = self.pages + DUE;
            match self.wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => {
                    tracing::error!("the store's checkpoint thread has ended")
                }
            }
        }
    }

    fn help(&mut self, connection: &Connection) {
        let result = {
            let _running = self.shared.connection.lock();
            passive(connection)
        };
        match result {
            // The next commit starts the log over.
            Ok((in_log, moved)) if moved == in_log => (self.pages, self.due, self.far) = (0, DUE, FAR),
            // A reader still needs the log: not again with every commit.
            Ok(_) => self.far = self.pages + DUE,
            Err(error) => {
                self.far = self.pages + DUE;
                self.shared.warn(&error);
            }
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
                Ok(((in_log, _), connection)) => {
                    self.in_log.store(in_log, Ordering::Release);
                    *guard = Some(connection);
                }
                // Nothing is lost by it: the log only grows until one succeeds.
                Err(error) => self.warn(&error),
            }
        }
    }

    fn warn(&self, error: &rusqlite::Error) {
        tracing::warn!(error = %explain(&self.place.path, "checkpointing", error), "checkpoint failed");
    }
}

/// Tells how many pages the log has and how many of them are moved.
fn passive(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pages = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(|pages| pages.max(0) as u64);
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((pages(row, 1)?, pages(row, 2)?)))
}

/// Moves everything and empties the log. Only where nothing else is connected.
///
/// # Errors
/// Where a page could not be written or another connection is in the way.
pub(super) fn complete(connection: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
    }
}
