//! The durable engine: one SQLite database in one directory.
//!
//! [`writer`] decides and commits on a thread of its own, [`checkpoint`] moves
//! the write-ahead log on another, [`history`] reads the past, [`load`] makes
//! the index on opening, [`log`] knows the table. Current values live in
//! memory; the disk is read only on opening and for old history.

mod checkpoint;
mod failure;
mod history;
mod load;
mod lock;
mod log;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use edge::{Edge, Task, Tasks};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use self::checkpoint::Checkpoints;
use self::failure::{OPENING, explain};
use self::history::Reader;
use self::load::{Loaded, load};
use self::lock::DirectoryLock;
use self::log::Place;
use self::writer::{Message, Writer};
use crate::hub::Hub;
use crate::{
    Committed, Error, Indexer, Limits, Revision, Scope, Snapshot, Store, Transformer, Txn, Watch, expiry,
};

/// How to open a [`Sqlite`] store.
pub struct SqliteOptions {
    /// Made (mode 0700) where it does not exist. Holds `store.db`, SQLite's
    /// files beside it, and `store.lock`.
    pub directory: PathBuf,
    pub edge: Edge,
    /// Decodes what is read from disk.
    pub indexer: Arc<dyn Indexer>,
    /// [`crate::Plain`] where nothing is encrypted.
    pub transformer: Arc<dyn Transformer>,
    pub limits: Limits,
    /// The most bytes that the database may have; writes beyond are refused as
    /// on a full disk. `None`: as much as the disk has.
    pub size_limit: Option<u64>,
}

/// A durable store. See [`Store`].
pub struct Sqlite {
    hub: Arc<Hub>,
    proposals: Mutex<Sender<Message>>,
    reader: Arc<Reader>,
    refusing: Arc<RwLock<Option<Error>>>,
    path: PathBuf,
    tasks: Tasks,
    expiry: Task<()>,
    #[cfg(test)]
    codec: Arc<Codec>,
}

/// Between rows and entries, and where the rows are.
struct Codec {
    place: Place,
    indexer: Arc<dyn Indexer>,
    transformer: Arc<dyn Transformer>,
    #[cfg(test)]
    faults: tests::Faults,
}

impl Sqlite {
    /// Opens the store and reads what it holds; blocks until then.
    ///
    /// # Errors
    /// [`Error::InUse`] where another process has the directory, [`Error::Format`]
    /// and [`Error::Corrupt`] where the database is not one that can be used
    /// (it is left as it is), [`Error::Unavailable`] where the disk fails.
    pub fn open(options: SqliteOptions) -> Result<Arc<Self>, Error> {
        let SqliteOptions { directory, edge, indexer, transformer, limits, size_limit } = options;
        make_directory(&directory)?;
        let lock = DirectoryLock::take(&directory)?;
        let place = Place { path: directory.join("store.db"), size_limit };
        let codec = Arc::new(Codec {
            place: place.clone(),
            indexer,
            transformer,
            #[cfg(test)]
            faults: tests::Faults::default(),
        });
        let mut connection =
            place.connect(writer::CACHE).map_err(|error| explain(&place.path, OPENING, &error))?;
        log::prepare(&mut connection, &place.path, 1)?;
        sync_directory(&directory)?;
        let Loaded { root, floor, replaced } = load(&connection, &codec)?;
        let hub = Arc::new(Hub::new(root, Some(floor), limits.clone()));
        let reader = Arc::new(Reader::new(codec.clone()));
        let path = place.path.clone();
        let refusing = Arc::new(RwLock::new(None));
        let (proposals, messages) = channel();
        let writer = Writer {
            messages,
            hub: hub.clone(),
            codec: codec.clone(),
            reader: reader.clone(),
            checkpoints: Checkpoints::start(place)?,
            clock: edge.clock.clone(),
            limits,
            refusing: refusing.clone(),
            only_full: false,
            floor,
            replaced,
            lock,
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .stack_size(1 << 20)
            .spawn(move || writer.run(connection))
            .map_err(|error| {
                Error::Unavailable(format!("cannot start the store's writer thread: {error}"))
            })?;
        Ok(Arc::new_cyclic(|store: &Weak<Self>| Self {
            expiry: expiry::start(&edge, hub.clone(), store.clone()),
            hub,
            proposals: Mutex::new(proposals),
            reader,
            refusing,
            path,
            tasks: edge.tasks.clone(),
            #[cfg(test)]
            codec,
        }))
    }

    /// How many watches run.
    pub fn watchers(&self) -> usize {
        self.hub.watchers()
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        self.proposals.lock().send(message).map_err(|_| self.gone())
    }

    /// Why the writer is not there.
    fn gone(&self) -> Error {
        if self.hub.is_closed() { Error::Closed } else { Error::Unavailable(writer::ENDED.to_owned()) }
    }
}

#[async_trait]
impl Store for Sqlite {
    fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    async fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Error> {
        if let Some(root) = self.hub.root_at(revision)? {
            return Ok(Snapshot(root));
        }
        let (hub, reader) = (self.hub.clone(), self.reader.clone());
        let rewound = self.tasks.spawn_blocking(move || {
            let root = hub.root();
            let undo = reader.undo(revision, root.revision)?;
            Ok(Snapshot(hub.rewound(root, revision, undo)))
        });
        rewound.await.unwrap_or(Err(Error::Closed))
    }

    async fn at_least(&self, revision: Revision) -> Result<(), Error> {
        self.hub.at_least(revision).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, Error> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Propose(txn, answer))?;
        answered.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn watch(&self, scope: Scope, after: Revision) -> Result<Watch, Error> {
        Watch::start(self.hub.clone(), Some((self.reader.clone(), self.tasks.clone())), scope, after)
    }

    fn revision(&self) -> Revision {
        self.hub.revision()
    }

    fn oldest(&self) -> Revision {
        self.hub.oldest()
    }

    fn writable(&self) -> Result<(), Error> {
        match &*self.refusing.read() {
            Some(error) => Err(error.clone()),
            None if self.hub.is_closed() => Err(Error::Closed),
            None => Ok(()),
        }
    }

    fn size(&self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|data| data.len())
    }

    fn end_watches(&self) {
        self.hub.end_watches();
    }

    async fn close(&self) {
        self.expiry.abort();
        let (done, closed) = oneshot::channel();
        if self.send(Message::Close(done)).is_ok() {
            // An error means that the writer ended otherwise.
            let _ = closed.await;
        }
    }
}

impl Drop for Sqlite {
    /// Without [`Store::close`] the writer still finishes what it was given, by
    /// itself and a little later.
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

fn make_directory(directory: &std::path::Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        Error::Unavailable(format!(
            "cannot make data directory {} ({error}): choose one that can be written",
            directory.display()
        ))
    })
}

/// A new file is only there after a power cut if its directory was synced.
fn sync_directory(directory: &std::path::Path) -> Result<(), Error> {
    std::fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(|error| {
        Error::Unavailable(format!("cannot sync data directory {}: {error}", directory.display()))
    })
}
