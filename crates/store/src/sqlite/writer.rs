//! The writer: one thread that decides, makes durable, publishes and answers.
//!
//! It takes whatever proposals wait and commits them as one SQLite transaction,
//! so that one fsync serves all of them. A proposal sees what those before it
//! in the same batch did; nobody is answered, and nothing is shown, before the
//! batch is on disk.
//!
//! ```text
//! serving ──commit failed──▶ refusing (handles closed)
//!    ▲                           │ next proposal
//!    └──── reopened, caught up ──┘
//! ```

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::Bytes;
use edge::Clock;
use parking_lot::RwLock;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Codec;
use super::checkpoint::{Checkpoints, complete};
use super::failure::explain;
use super::history::Reader;
use super::load::catch_up;
use super::lock::DirectoryLock;
use super::log::{Log, Replaced, Trimmed, extent};
use crate::decide::decide;
use crate::hub::Hub;
use crate::position::Position;
use crate::snapshot::Root;
use crate::{Committed, Error, Event, Limits, Op, Txn};

/// A batch is closed at so many proposals or bytes.
const PROPOSALS: usize = 1024;
const BYTES: usize = 4 << 20;

/// While commits fail, reopening is tried at most this often.
const REOPEN: Duration = Duration::from_millis(250);

/// Of the writer's page cache, in KiB.
pub(super) const CACHE: u32 = 1024;

pub(super) const ENDED: &str = "the store's writer has ended unexpectedly: restart Corten";

pub(super) type Answer = oneshot::Sender<Result<Committed, Error>>;

pub(super) enum Message {
    Propose(Txn, Answer),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    pub messages: Receiver<Message>,
    pub hub: Arc<Hub>,
    pub codec: Arc<Codec>,
    pub reader: Arc<Reader>,
    pub checkpoints: Checkpoints,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Why writes are refused, if they are.
    pub refusing: Arc<RwLock<Option<Error>>>,
    /// The last failure was a lack of space before anything was committed.
    pub only_full: bool,
    pub floor: Position,
    pub replaced: Replaced,
    /// Held as long as anything here may write.
    pub lock: DirectoryLock,
}

/// Proposals taken together, and perhaps the wish to close after them.
#[derive(Default)]
struct Batch {
    proposals: Vec<(Txn, Answer)>,
    bytes: usize,
    close: Option<Option<oneshot::Sender<()>>>,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Propose(txn, answer) => {
                self.bytes += txn
                    .ops
                    .iter()
                    .map(|op| if let Op::Put { value, .. } = op { value.len() } else { 0 })
                    .sum::<usize>();
                self.proposals.push((txn, answer));
            }
            Message::Close(done) => self.close = Some(Some(done)),
        }
    }

    fn refuse(self, error: &Error) {
        for (_, answer) in self.proposals {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// A batch after its decisions.
struct Decided {
    root: Root,
    events: Vec<Arc<Event>>,
    /// For each event; `None` for deletions.
    sealed: Vec<Option<Bytes>>,
    answers: Vec<(Answer, Result<Committed, Error>)>,
}

/// A writer that panics is not restarted, but readiness says so.
struct TellsOfPanic(Arc<RwLock<Option<Error>>>);

impl Drop for TellsOfPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.write() = Some(Error::Unavailable(ENDED.to_owned()));
        }
    }
}

impl Writer {
    /// Runs until the store is closed or dropped.
    pub fn run(mut self, connection: Connection) {
        let _told = TellsOfPanic(self.refusing.clone());
        let mut connection = Some(connection);
        let mut waiting = Batch::default();
        let done = loop {
            let Some(open) = connection.take() else {
                match self.reopen() {
                    Ok((reopened, batch)) => (connection, waiting) = (Some(reopened), batch),
                    Err(done) => break done,
                }
                continue;
            };
            match self.serve(&open, std::mem::take(&mut waiting)) {
                Ok(done) => {
                    // Leaves one file behind; what fails here is in the log still.
                    self.disconnect();
                    let _ = complete(&open);
                    break done;
                }
                Err(error) => self.fail(error),
            }
        };
        self.hub.close();
        drop(self.lock);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Commits batch after batch. Ends with the wish to close, or with an error
    /// after which `connection` must not be used again.
    fn serve(&mut self, connection: &Connection, first: Batch) -> Result<Option<oneshot::Sender<()>>, Error> {
        let mut log =
            Log::new(connection).map_err(|error| explain(&self.codec.place.path, "writing to", &error))?;
        let mut batch = first;
        loop {
            if !batch.proposals.is_empty() {
                let proposals = std::mem::take(&mut batch.proposals);
                self.commit(connection, &mut log, proposals)?;
            }
            if let Some(done) = batch.close {
                return Ok(done);
            }
            batch = self.gather();
        }
    }

    /// Waits for a proposal and takes all that came meanwhile.
    fn gather(&self) -> Batch {
        let mut batch = Batch::default();
        match self.messages.recv() {
            Ok(message) => batch.add(message),
            Err(_) => batch.close = Some(None),
        }
        while batch.close.is_none() && batch.proposals.len() < PROPOSALS && batch.bytes < BYTES {
            match self.messages.try_recv() {
                Ok(message) => batch.add(message),
                Err(_) => break,
            }
        }
        batch
    }

    fn commit(
        &mut self,
        connection: &Connection,
        log: &mut Log<'_>,
        proposals: Vec<(Txn, Answer)>,
    ) -> Result<(), Error> {
        let decided = self.decide(proposals);
        let trimmed = if decided.events.is_empty() {
            None
        } else {
            match self.write(log, &decided) {
                Ok(trimmed) => trimmed,
                Err(error) => {
                    self.only_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
                    let error = explain(&self.codec.place.path, "committing to", &error);
                    *self.refusing.write() = Some(error.clone());
                    for (answer, _) in decided.answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                    return Err(error);
                }
            }
        };
        let Decided { root, events, sealed, answers } = decided;
        self.hub.publish(root, &events);
        self.count(&events);
        if let Some(trimmed) = trimmed {
            self.trimmed(&trimmed);
        }
        for (answer, result) in answers {
            let _ = answer.send(result);
        }
        self.hub.tell(&events);
        let bytes: usize = sealed.iter().flatten().map(Bytes::len).sum();
        self.checkpoints.committed((bytes / 3500 + 3) as u64 * u64::from(!events.is_empty()), connection);
        Ok(())
    }

    /// What becomes of `proposals`, each on what those before it left.
    fn decide(&self, proposals: Vec<(Txn, Answer)>) -> Decided {
        let now = self.clock.now();
        let mut decided = Decided {
            root: self.hub.root(),
            events: Vec::with_capacity(proposals.len()),
            sealed: Vec::with_capacity(proposals.len()),
            answers: Vec::with_capacity(proposals.len()),
        };
        for (txn, answer) in proposals {
            let result = self.seal(&txn).and_then(|mut sealed| {
                let (committed, events) = decide(&mut decided.root, txn, now)?;
                let mut sealed = sealed.drain(..);
                for event in events {
                    decided.sealed.push(event.current.is_some().then(|| sealed.next()).flatten());
                    decided.events.push(event);
                }
                Ok(committed)
            });
            decided.answers.push((answer, result));
        }
        decided
    }

    /// The values of the puts, in order, as they go to disk.
    fn seal(&self, txn: &Txn) -> Result<Vec<Bytes>, Error> {
        let puts = txn.ops.iter().filter_map(|op| match op {
            Op::Put { key, value, .. } => Some((key, value)),
            Op::Delete { .. } => None,
        });
        puts.map(|(key, value)| {
            self.codec
                .transformer
                .seal(key, value)
                .map_err(|error| Error::Unavailable(format!("the value of {key} cannot be sealed: {error}")))
        })
        .collect()
    }

    fn write(&self, log: &mut Log<'_>, decided: &Decided) -> rusqlite::Result<Option<Trimmed>> {
        #[cfg(test)]
        self.codec.faults.before()?;
        let trimmed = log.transaction(|log| {
            for (event, sealed) in decided.events.iter().zip(&decided.sealed) {
                log.append(event, sealed.as_ref())?;
            }
            let over = self.replaced.rows > self.limits.history_rows
                || self.replaced.bytes > self.limits.history_bytes;
            // A little more than what came in, so that it ends.
            over.then(|| log.trim(self.floor, 2 * decided.events.len() + 14)).transpose()
        })?;
        #[cfg(test)]
        self.codec.faults.after()?;
        Ok(trimmed)
    }

    /// Counts what `events` made history of.
    fn count(&mut self, events: &[Arc<Event>]) {
        for event in events {
            if let Some(previous) = &event.previous {
                self.replaced.add(previous.value.len());
            }
            if event.current.is_none() {
                self.replaced.add(0);
            }
        }
    }

    fn trimmed(&mut self, trimmed: &Trimmed) {
        self.floor = trimmed.floor;
        self.replaced.rows = self.replaced.rows.saturating_sub(trimmed.gone.rows);
        self.replaced.bytes = self.replaced.bytes.saturating_sub(trimmed.gone.bytes);
        self.hub.set_history_floor(self.floor);
    }

    /// After a failure no handle is trusted any more.
    fn fail(&self, error: Error) {
        tracing::error!(%error, "writes are refused");
        *self.refusing.write() = Some(error);
        self.disconnect();
    }

    fn disconnect(&self) {
        self.checkpoints.disconnect();
        self.reader.disconnect();
    }

    /// Refuses proposals until the database could be opened again, which is
    /// tried when one comes. `Err` is the wish to close.
    fn reopen(&mut self) -> Result<(Connection, Batch), Option<oneshot::Sender<()>>> {
        let mut tried: Option<Instant> = None;
        loop {
            let mut batch = self.gather();
            let refusing = self.refusing.read().clone().unwrap_or(Error::Closed);
            if let Some(done) = batch.close.take() {
                batch.refuse(&refusing);
                return Err(done);
            }
            if tried.is_some_and(|at| at.elapsed() < REOPEN) {
                batch.refuse(&refusing);
                continue;
            }
            tried = Some(Instant::now());
            match self.recover() {
                Ok(connection) => {
                    *self.refusing.write() = None;
                    tracing::info!("writes are accepted again");
                    return Ok((connection, batch));
                }
                Err(error) => {
                    batch.refuse(&error);
                    *self.refusing.write() = Some(error);
                }
            }
        }
    }

    /// Opens the database anew and publishes what it has beyond what was
    /// published: commits that failed and are on disk nevertheless.
    fn recover(&mut self) -> Result<Connection, Error> {
        let explained = |error| explain(&self.codec.place.path, "reopening", &error);
        let connection = self.codec.place.connect(CACHE).map_err(explained)?;
        let mut root = self.hub.root();
        let (_, on_disk) = extent(&connection).map_err(explained)?;
        if !self.only_full || on_disk != root.revision {
            // The log may hold what never reached the disk. Moving all of it into
            // the database, with an fsync that succeeds, makes what is read next
            // durable. A write for which there was no space leaves no such doubt,
            // and there may not be the space for this.
            complete(&connection).map_err(explained)?;
        }
        let (events, floor) = catch_up(&connection, &self.codec, &mut root)?;
        self.floor = floor;
        self.hub.set_history_floor(floor);
        if !events.is_empty() {
            self.hub.publish(root, &events);
            self.hub.tell(&events);
            self.count(&events);
        }
        Ok(connection)
    }
}
