//! From the table to a root: on opening everything, after a failure what the
//! published root does not have yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::Codec;
use super::failure::explain;
use super::log::{COLUMNS, Replaced, Row, extent};
use crate::position::Position;
use crate::snapshot::Root;
use crate::{Entry, Error, Event, Key, Revision};

/// What a database holds.
pub(super) struct Loaded {
    pub root: Root,
    pub floor: Position,
    pub replaced: Replaced,
}

/// Reads the whole table. What was replaced is never decoded.
pub(super) fn load(connection: &Connection, codec: &Codec) -> Result<Loaded, Error> {
    let explained = |error| explain(&codec.place.path, "loading", &error);
    let (floor, revision) = extent(connection).map_err(explained)?;
    let mut current: BTreeMap<Key, Row> = BTreeMap::new();
    let mut replaced = Replaced::default();
    each(connection, 0, |row| {
        let before = if row.value.is_some() {
            current.insert(row.key.clone(), row)
        } else {
            replaced.add(0);
            current.remove(&row.key)
        };
        if let Some(before) = before {
            replaced.add(before.value.map_or(0, |value| value.len()));
        }
    })
    .map_err(explained)?;
    let mut root = Root::empty(revision);
    for entry in decode(current.into_values().collect(), codec)? {
        root.put(entry);
    }
    Ok(Loaded { root, floor, replaced })
}

/// What is on disk but not in `root`: commits that were reported as failed and
/// yet are there. Puts them into `root` and tells the events, and the floor.
///
/// # Errors
/// [`Error::Corrupt`] where the disk is behind `root`: what was acknowledged is lost.
pub(super) fn catch_up(
    connection: &Connection,
    codec: &Codec,
    root: &mut Root,
) -> Result<(Vec<Arc<Event>>, Position), Error> {
    let path = &codec.place.path;
    let explained = |error| explain(path, "recovering", &error);
    let (floor, on_disk) = extent(connection).map_err(explained)?;
    if on_disk < root.revision {
        return Err(Error::Corrupt(format!(
            "the database {} went back from revision {} to {on_disk}: the disk lost acknowledged writes; writes are refused, keep a copy of the file and restart",
            path.display(),
            root.revision
        )));
    }
    let mut rows = Vec::new();
    each(connection, Position::start_of(root.revision + 1).0, |row| rows.push(row)).map_err(explained)?;
    let mut events = Vec::new();
    for row in rows {
        events.push(follow(root, row, codec)?);
    }
    root.revision = on_disk;
    Ok((events, floor))
}

fn follow(root: &mut Root, row: Row, codec: &Codec) -> Result<Arc<Event>, Error> {
    let (position, key) = (row.position, row.key.clone());
    let current = codec.entry(row)?;
    let previous = match &current {
        Some(entry) => root.put(entry.clone()),
        None => root.remove(&key),
    };
    Ok(Arc::new(Event { revision: position.revision(), key, previous, current, place: position.place() }))
}

/// Visits the rows from `first` on.
fn each(connection: &Connection, first: u64, mut visit: impl FnMut(Row)) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM log WHERE id >= ?1 ORDER BY id"))?;
    let mut rows = statement.query([first as i64])?;
    while let Some(row) = rows.next()? {
        visit(Row::read(row, 0)?);
    }
    Ok(())
}

/// Decodes on all processors, up to four: decoding is what opening spends its
/// time on.
fn decode(rows: Vec<Row>, codec: &Codec) -> Result<Vec<Arc<Entry>>, Error> {
    let entries = |rows: Vec<Row>| -> Result<Vec<Arc<Entry>>, Error> {
        rows.into_iter().filter_map(|row| codec.entry(row).transpose()).collect()
    };
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
    if workers == 1 || rows.len() < 1000 {
        return entries(rows);
    }
    let share = rows.len().div_ceil(workers);
    let mut rows = rows.into_iter();
    std::thread::scope(|scope| {
        let running: Vec<_> = std::iter::repeat_with(|| rows.by_ref().take(share).collect::<Vec<_>>())
            .take_while(|part| !part.is_empty())
            .map(|part| scope.spawn(|| entries(part)))
            .collect();
        let mut all = Vec::new();
        for worker in running {
            let part = worker
                .join()
                .map_err(|_| Error::Unavailable("decoding a stored value panicked".to_owned()))?;
            all.extend(part?);
        }
        Ok(all)
    })
}

impl Codec {
    /// The entry that a row holds; `None` for a deletion.
    pub fn entry(&self, row: Row) -> Result<Option<Arc<Entry>>, Error> {
        let Row { position, key, created, expires, value, .. } = row;
        let Some(sealed) = value else { return Ok(None) };
        let value = self.transformer.open(&key, sealed).map_err(|error| {
            Error::Corrupt(format!(
                "the value of {key} in {} cannot be opened: {error}",
                self.place.path.display()
            ))
        })?;
        let indexed = self.indexer.index(&key, &value);
        let (revision, place): (Revision, u16) = (position.revision(), position.place());
        Ok(Some(Arc::new(Entry { key, value, created, revision, indexed, expires, place })))
    }
}
