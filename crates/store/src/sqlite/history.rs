//! Reading the past from the table: for watchers that the window no longer
//! serves and for lists at an old revision. On a connection of its own, opened
//! when first needed; SQLite lets it read while the writer writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};

use super::Codec;
use super::failure::explain;
use super::log::{COLUMNS, Row, extent};
use crate::position::Position;
use crate::retained::Undo;
use crate::watch::{Chunk, History, Scope};
use crate::{Error, Event, Key, Revision};

/// Rows looked at, events given and bytes given in one call: bounds for the
/// time that a call takes and the memory that a slow watcher holds.
const ROWS: i64 = 1024;
const EVENTS: usize = 64;
const BYTES: usize = 1 << 20;

/// Of the cache of this connection, in KiB.
const CACHE: u32 = 256;

pub(super) struct Reader {
    codec: Arc<Codec>,
    connection: Mutex<Option<Connection>>,
}

impl Reader {
    pub fn new(codec: Arc<Codec>) -> Self {
        Self { codec, connection: Mutex::new(None) }
    }

    /// Lets go of the connection; the next read opens another.
    pub fn disconnect(&self) {
        self.connection.lock().take();
    }

    /// What the keys that changed after `revision` and until `last` were
    /// before, each once.
    pub fn undo(&self, revision: Revision, last: Revision) -> Result<Vec<Undo>, Error> {
        self.reading(|connection| {
            let (floor, _) = extent(connection)?;
            if revision < floor.revision() {
                return Ok(Err(Error::Compacted { oldest: floor.revision() }));
            }
            let mut changed: BTreeMap<Key, i64> = BTreeMap::new();
            let mut statement = connection
                .prepare("SELECT key, previous FROM log WHERE id >= ?1 AND id <= ?2 ORDER BY id")?;
            let bounds = [Position::start_of(revision + 1).0 as i64, Position::end_of(last).0 as i64];
            let mut rows = statement.query(bounds)?;
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                let previous = row.get(1)?;
                changed.entry(key.into()).or_insert(previous);
            }
            let mut before = connection.prepare(&format!("SELECT {COLUMNS} FROM log WHERE id = ?1"))?;
            let mut undo = Vec::with_capacity(changed.len());
            for (key, id) in changed {
                let row = if id == 0 {
                    None
                } else {
                    before.query_row([id], |row| Row::read(row, 0)).optional()?
                };
                match row.map_or(Ok(None), |row| self.codec.entry(row)) {
                    Ok(entry) => undo.push((key, entry)),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(undo))
        })
    }

    /// Runs `read` in one read transaction, so that all it sees is of one moment.
    fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut guard = self.connection.lock();
        let result = (|| {
            let connection = match guard.take() {
                Some(connection) => connection,
                None => self.codec.place.connect(CACHE)?,
            };
            let transaction = connection.unchecked_transaction()?;
            let result = read(&transaction)?;
            transaction.finish()?;
            *guard = Some(connection);
            Ok(result)
        })();
        // A connection that failed is not put back.
        result.map_err(|error| explain(&self.codec.place.path, "reading the history in", &error))?
    }

    fn event(&self, row: Row, before: Option<Row>) -> Result<Event, Error> {
        let (position, key) = (row.position, row.key.clone());
        let previous = before.map_or(Ok(None), |row| self.codec.entry(row))?;
        let current = self.codec.entry(row)?;
        Ok(Event { revision: position.revision(), place: position.place(), key, previous, current })
    }
}

impl History for Reader {
    fn read(&self, from: Position, scope: &Scope) -> Result<Chunk, Error> {
        self.reading(|connection| {
            let (floor, newest) = extent(connection)?;
            if from <= floor {
                return Ok(Err(Error::Compacted { oldest: floor.revision() }));
            }
            let mut statement = connection.prepare(
                "SELECT log.id, log.key, log.created, log.expires, log.value,
                        replaced.id, replaced.key, replaced.created, replaced.expires, replaced.value
                 FROM log LEFT JOIN log AS replaced ON replaced.id = log.previous
                 WHERE log.id >= ?1 ORDER BY log.id LIMIT ?2",
            )?;
            let mut rows = statement.query([from.0 as i64, ROWS])?;
            let mut chunk = Chunk { events: Vec::new(), next: from };
            let (mut seen, mut bytes) = (0, 0);
            while let Some(row) = rows.next()? {
                seen += 1;
                chunk.next = Position(row.get::<_, i64>(0)? as u64).next();
                if !row.get_ref(1)?.as_str().is_ok_and(|key| scope.covers_key(key)) {
                    continue;
                }
                let before = row.get::<_, Option<i64>>(5)?.map(|_| Row::read(row, 5)).transpose()?;
                let event = match self.event(Row::read(row, 0)?, before) {
                    Ok(event) => event,
                    Err(error) => return Ok(Err(error)),
                };
                if scope.covers(&event) {
                    bytes += [&event.previous, &event.current]
                        .into_iter()
                        .flatten()
                        .map(|entry| entry.value.len())
                        .sum::<usize>();
                    chunk.events.push(Arc::new(event));
                }
                if chunk.events.len() == EVENTS || bytes > BYTES {
                    return Ok(Ok(chunk));
                }
            }
            if seen < ROWS {
                chunk.next = chunk.next.max(Position::start_of(newest + 1));
            }
            Ok(Ok(chunk))
        })
    }
}
