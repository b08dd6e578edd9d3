//! The table: one row for each change, in the order of positions, written once
//! and never changed.
//!
//! The newest row of a key is its current value, or, where its value is NULL,
//! its deletion. A row names the one that it replaced, so that history can be
//! read with the entry before, and be trimmed from the old end by walking over
//! it: what is at or before the floor needs no predecessor any more. The
//! revision is persisted as the number of the last row, or, where trimming took
//! that row, as the floor.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, Row as SqlRow, Statement, params};

use super::failure::{OPENING, explain};
use crate::position::Position;
use crate::{Error, Event, Key, Revision};

/// "Cort".
const APPLICATION: i32 = 0x436f_7274;

/// Raised when an older Corten could no longer read what this one writes.
const FORMAT: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE log (
        id       INTEGER PRIMARY KEY, -- revision << 10 | place in the transaction
        key      TEXT    NOT NULL,
        created  INTEGER NOT NULL,    -- revision
        previous INTEGER NOT NULL,    -- the row that this one replaced, or 0
        expires  INTEGER,             -- milliseconds since 1970
        value    BLOB                 -- as the transformer sealed it; NULL: deleted
    ) STRICT;
    -- Everything after this row is whole; what it and those before it replaced is gone.
    CREATE TABLE floor (id INTEGER NOT NULL) STRICT;
";

/// Where a database is and how big it may get.
#[derive(Clone)]
pub(super) struct Place {
    pub path: PathBuf,
    /// In bytes; `None` for as much as the disk has.
    pub size_limit: Option<u64>,
}

const PAGE: u64 = 4096;

impl Place {
    /// Opens a connection. `cache` is in KiB.
    pub fn connect(&self, cache: u32) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // Closing must not depend on a checkpoint, least of all after a failure.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 16777216;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{cache};"
        ))?;
        if let Some(limit) = self.size_limit {
            connection.pragma_update(None, "max_page_count", ((limit / PAGE).max(1)) as i64)?;
        }
        Ok(connection)
    }
}

/// Makes a new database what it should be and refuses one that is not ours.
pub(super) fn prepare(connection: &mut Connection, path: &Path, revision: Revision) -> Result<(), Error> {
    let explained = |error| explain(path, OPENING, &error);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) =
        (number("application_id").map_err(explained)?, number("user_version").map_err(explained)?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(explained)?;
    match (application, format, tables) {
        (APPLICATION, FORMAT, _) => Ok(()),
        (0, 0, 0) => {
            let created = (|| {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction
                    .execute("INSERT INTO floor VALUES (?1)", [Position::end_of(revision).0 as i64])?;
                transaction.pragma_update(None, "application_id", APPLICATION)?;
                transaction.pragma_update(None, "user_version", FORMAT)?;
                transaction.commit()
            })();
            created.map_err(explained)
        }
        (APPLICATION, newer, _) => Err(Error::Format(format!(
            "the database {} has format {newer} and this Corten knows {FORMAT}: start the version of Corten that wrote it",
            path.display()
        ))),
        _ => Err(Error::Format(format!(
            "{} is a database of another program: choose another data directory",
            path.display()
        ))),
    }
}

/// One row, its value still sealed.
pub(super) struct Row {
    pub position: Position,
    pub key: Key,
    pub created: Revision,
    pub expires: Option<Timestamp>,
    pub value: Option<Bytes>,
}

pub(super) const COLUMNS: &str = "id, key, created, expires, value";

impl Row {
    /// Reads the row whose columns start at `first`, in the order of [`COLUMNS`].
    pub fn read(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Self> {
        let wrong = |column: usize, kind| {
            rusqlite::Error::FromSqlConversionFailure(column, kind, "unexpected".into())
        };
        let expires = row.get::<_, Option<i64>>(first + 3)?;
        let value = row.get_ref(first + 4)?;
        Ok(Self {
            position: Position(row.get::<_, i64>(first)? as u64),
            key: row.get_ref(first + 1)?.as_str().map(Key::from).map_err(|_| wrong(first + 1, Type::Text))?,
            created: row.get::<_, i64>(first + 2)? as u64,
            expires: expires
                .map(|at| Timestamp::from_millisecond(at).map_err(|_| wrong(first + 3, Type::Integer)))
                .transpose()?,
            value: value
                .as_blob_or_null()
                .map_err(|_| wrong(first + 4, Type::Blob))?
                .map(Bytes::copy_from_slice),
        })
    }
}

/// The floor, and the newest revision that the database knows.
pub(super) fn extent(connection: &Connection) -> rusqlite::Result<(Position, Revision)> {
    let number =
        |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|id| Position(id as u64));
    let floor = number("SELECT id FROM floor")?;
    let last = number("SELECT coalesce(max(id), 0) FROM log")?;
    Ok((floor, last.revision().max(floor.revision())))
}

/// How much history there is to trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    pub rows: u64,
    pub bytes: u64,
}

impl Replaced {
    pub fn add(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes as u64;
    }
}

/// The writer's statements on its connection.
pub(super) struct Log<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    insert: Statement<'c>,
    oldest: Statement<'c>,
    delete: Statement<'c>,
    raise: Statement<'c>,
}

/// What a trim did.
pub(super) struct Trimmed {
    pub floor: Position,
    pub gone: Replaced,
}

impl<'c> Log<'c> {
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            insert: connection.prepare(
                "INSERT INTO log (id, key, created, previous, expires, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            oldest: connection.prepare(
                "SELECT log.id, log.value IS NULL, log.previous, length(replaced.value)
                 FROM log LEFT JOIN log AS replaced ON replaced.id = log.previous
                 WHERE log.id > ?1 ORDER BY log.id LIMIT ?2",
            )?,
            delete: connection.prepare("DELETE FROM log WHERE id = ?1")?,
            raise: connection.prepare("UPDATE floor SET id = ?1")?,
        })
    }

    /// Runs `work` in one transaction. On an error nothing of it is left, as
    /// far as SQLite could still see to that.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.begin.execute([])?;
        let done = work(self).and_then(|done| self.commit.execute([]).map(|_| done));
        if done.is_err() {
            // SQLite may have rolled back by itself; the connection is given up anyway.
            let _ = self.rollback.execute([]);
        }
        done
    }

    /// Adds the row of `event` with its sealed value.
    pub fn append(&mut self, event: &Event, sealed: Option<&Bytes>) -> rusqlite::Result<()> {
        let previous =
            event.previous.as_ref().map_or(0, |previous| Position::new(previous.revision, previous.place).0);
        let created = event.current.as_ref().or(event.previous.as_ref()).map_or(0, |entry| entry.created);
        let expires = event.current.as_ref().and_then(|entry| entry.expires).map(|at| at.as_millisecond());
        self.insert.execute(params![
            Position::new(event.revision, event.place).0 as i64,
            event.key.as_str(),
            created as i64,
            previous as i64,
            expires,
            sealed.map(|sealed| &sealed[..]),
        ])?;
        Ok(())
    }

    /// Raises the floor over at most `steps` rows and deletes what nobody can
    /// ask for any more.
    pub fn trim(&mut self, floor: Position, steps: usize) -> rusqlite::Result<Trimmed> {
        let mut trimmed = Trimmed { floor, gone: Replaced::default() };
        let mut doomed = Vec::new();
        let mut rows = self.oldest.query(params![floor.0 as i64, steps as i64])?;
        while let Some(row) = rows.next()? {
            let (id, deletion): (i64, bool) = (row.get(0)?, row.get(1)?);
            let (previous, length): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            trimmed.floor = Position(id as u64);
            if previous != 0 {
                trimmed.gone.add(length.unwrap_or(0) as usize);
                doomed.push(previous);
            }
            if deletion {
                trimmed.gone.add(0);
                doomed.push(id);
            }
        }
        drop(rows);
        for id in doomed {
            self.delete.execute([id])?;
        }
        if trimmed.floor != floor {
            self.raise.execute([trimmed.floor.0 as i64])?;
        }
        Ok(trimmed)
    }
}
