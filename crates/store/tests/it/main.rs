//! What takes a process or a file system of its own: crashes and full disks.

mod crash;
mod full_disk;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use edge::Edge;
use store::{Error, Indexed, Limits, NoIndex, Op, Plain, Sqlite, SqliteOptions, Txn};

fn open(directory: &Path) -> Result<Arc<Sqlite>, Error> {
    Sqlite::open(SqliteOptions {
        directory: directory.to_owned(),
        edge: Edge::system(),
        indexer: Arc::new(NoIndex),
        transformer: Arc::new(Plain),
        // Small, so that trimming and reading the history are part of it.
        limits: Limits { window_events: 64, history_rows: 500, ..Limits::default() },
        size_limit: None,
    })
}

fn put(key: &str, value: impl Into<Bytes>) -> Txn {
    let op = Op::Put { key: key.into(), value: value.into(), indexed: Indexed::nothing(), ttl: None };
    Txn { compares: vec![], ops: vec![op] }
}
