//! Tests of what only the durable engine has: reopening, failures, trimming,
//! and the contract on top of it.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::contract::{self, Engine, content, delete, next, put, run, told};
use crate::{Indexed, Key, NoIndex, Op, Plain, Trigger};

/// Makes one of the next commits fail as a disk would: before anything is
/// written, or after everything is and only the answer is lost.
#[derive(Default)]
pub(super) struct Faults(AtomicU8);

const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Faults {
    pub fn before(&self) -> rusqlite::Result<()> {
        self.fail_if(BEFORE)
    }

    pub fn after(&self) -> rusqlite::Result<()> {
        self.fail_if(AFTER)
    }

    fn fail_if(&self, wanted: u8) -> rusqlite::Result<()> {
        match self.0.compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC),
                None,
            )),
            Err(_) => Ok(()),
        }
    }
}

fn options(directory: &Path) -> SqliteOptions {
    SqliteOptions {
        directory: directory.to_owned(),
        edge: contract::edge(),
        indexer: Arc::new(NoIndex),
        transformer: Arc::new(Plain),
        limits: Limits::default(),
        size_limit: None,
    }
}

fn open(directory: &Path) -> Arc<Sqlite> {
    Sqlite::open(options(directory)).expect("the store opens")
}

#[derive(Default)]
struct Directories {
    root: Option<TempDir>,
    count: AtomicUsize,
}

impl Directories {
    fn new() -> Self {
        Self { root: Some(tempfile::tempdir().expect("a directory")), count: AtomicUsize::new(0) }
    }
}

impl Engine for Directories {
    fn open(&self, limits: Limits) -> Arc<dyn Store> {
        let root = self.root.as_ref().expect("made by new").path();
        let directory = root.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        Sqlite::open(SqliteOptions { limits, ..options(&directory) }).expect("the store opens")
    }

    fn remembers(&self) -> bool {
        true
    }
}

contract::suite!(Directories::new());

#[tokio::test]
async fn everything_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    run(&*store, vec![put("/a", "1"), put("/b", "1"), put("/empty", "")]).await;
    run(&*store, vec![put("/a", "2"), delete("/b")]).await;
    let before = content(&store.snapshot());
    store.close().await;
    let store = open(directory.path());
    assert_eq!((store.revision(), content(&store.snapshot())), (3, before));
    // The past can be watched from before the restart.
    let mut watch = store.watch(Scope::prefix(""), 2).unwrap();
    assert_eq!(told(&*next(&mut watch).await), "3 /a 1>2");
    assert_eq!(told(&*next(&mut watch).await), "3 /b 1>-");
    assert!(watch.try_next().is_none());
    run(&*store, vec![put("/b", "2")]).await;
    assert_eq!(told(&*next(&mut watch).await), "4 /b ->2");
    assert_eq!(store.snapshot_at(2).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_store_that_is_dropped_finishes_what_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let answers: Vec<_> = (0..50)
        .map(|number| {
            let (answer, answered) = oneshot::channel();
            let txn = Txn { compares: vec![], ops: vec![put(&format!("/{number}"), "")] };
            store.send(Message::Propose(txn, answer)).unwrap();
            answered
        })
        .collect();
    drop(store);
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn expiries_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let txn = Txn::create("/event".into(), "".into(), Indexed::nothing()).expiring(Duration::from_millis(50));
    store.commit(txn).await.unwrap();
    store.close().await;
    let store = open(directory.path());
    store.at_least(3).await.unwrap();
    assert!(store.snapshot().is_empty());
}

#[tokio::test]
async fn trimming_keeps_the_budget_and_what_is_current() {
    let directory = tempfile::tempdir().unwrap();
    let limits = || Limits { window_events: 8, history_rows: 50, ..Limits::default() };
    let store = Sqlite::open(SqliteOptions { limits: limits(), ..options(directory.path()) }).unwrap();
    run(&*store, vec![put("/untouched", "1")]).await;
    for number in 0..300 {
        let key = format!("/{}", number % 9);
        let op = if number % 10 == 9 { delete(&key) } else { put(&key, &number.to_string()) };
        run(&*store, vec![op]).await;
    }
    let rows = || {
        let connection = store.codec.place.connect(64).unwrap();
        connection.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert!(rows() <= 50 + 10 + 20, "{} rows", rows());
    let oldest = store.oldest();
    assert!(oldest > 200 && oldest < 290, "history begins at {oldest}");
    assert!(matches!(store.watch(Scope::prefix(""), oldest - 1), Err(Error::Compacted { .. })));
    assert!(matches!(store.snapshot_at(oldest - 1).await, Err(Error::Compacted { .. })));
    store.snapshot_at(oldest).await.unwrap();
    let mut watch = store.watch(Scope::prefix(""), oldest).unwrap();
    for revision in oldest + 1..=store.revision() {
        assert_eq!(next(&mut watch).await.revision, revision);
    }
    let before = (store.revision(), content(&store.snapshot()));
    store.close().await;
    let store = open(directory.path());
    assert_eq!((store.revision(), content(&store.snapshot())), before);
    assert_eq!(store.oldest(), oldest);
}

/// A watcher that falls out of the window and of the history is told so.
#[tokio::test]
async fn a_watcher_whose_history_is_trimmed_gets_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { window_events: 4, history_rows: 10, ..Limits::default() };
    let store = Sqlite::open(SqliteOptions { limits, ..options(directory.path()) }).unwrap();
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    let mut idle = store.watch(Scope::prefix("/other/"), 1).unwrap();
    assert!(idle.try_next().is_none());
    for number in 0..100 {
        run(&*store, vec![put("/a", &number.to_string())]).await;
    }
    assert!(matches!(watch.next().await, Err(Error::Compacted { .. })));
    // One that had nothing to read did not fall behind.
    run(&*store, vec![put("/other/b", "1")]).await;
    assert_eq!(told(&*next(&mut idle).await), "102 /other/b ->1");
}

#[tokio::test]
async fn no_revision_is_reused_even_if_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { window_events: 1, history_rows: 0, ..Limits::default() };
    let store = Sqlite::open(SqliteOptions { limits, ..options(directory.path()) }).unwrap();
    for _ in 0..10 {
        run(&*store, vec![put("/a", "")]).await;
        run(&*store, vec![delete("/a")]).await;
    }
    store.close().await;
    let store = open(directory.path());
    assert_eq!((store.revision(), store.snapshot().len()), (21, 0));
    assert_eq!(run(&*store, vec![put("/a", "")]).await, 22);
}

#[tokio::test]
async fn a_commit_that_failed_before_the_disk_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    run(&*store, vec![put("/a", "1")]).await;
    store.codec.faults.0.store(BEFORE, Ordering::Release);
    let failed = store.commit(Txn { compares: vec![], ops: vec![put("/a", "2")] }).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    assert_eq!((store.revision(), store.snapshot().len()), (2, 1));
    // The next one finds the database opened again.
    assert_eq!(run(&*store, vec![put("/b", "1")]).await, 3);
    assert!(store.writable().is_ok());
    assert_eq!(&store.snapshot().get(&"/a".into()).unwrap().value[..], b"1");
}

#[tokio::test]
async fn a_commit_that_failed_after_the_disk_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    run(&*store, vec![put("/a", "1"), put("/c", "1")]).await;
    let mut watch = store.watch(Scope::prefix(""), 2).unwrap();
    store.codec.faults.0.store(AFTER, Ordering::Release);
    let failed = store.commit(Txn { compares: vec![], ops: vec![put("/a", "2"), delete("/c")] }).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    assert!(store.writable().is_err());
    assert_eq!(store.revision(), 2, "nothing is shown that was not acknowledged");
    // Its revision is taken, and watchers hear of it in its place.
    assert_eq!(run(&*store, vec![put("/b", "1")]).await, 4);
    for wanted in ["3 /a 1>2", "3 /c 1>-", "4 /b ->1"] {
        assert_eq!(told(&*next(&mut watch).await), wanted);
    }
    let before = content(&store.snapshot());
    store.close().await;
    assert_eq!(content(&open(directory.path()).snapshot()), before);
}

#[tokio::test]
async fn a_full_database_refuses_writes_and_goes_on_reading() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Sqlite::open(SqliteOptions { size_limit: Some(256 << 10), ..options(directory.path()) }).unwrap();
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    let value = "x".repeat(8 << 10);
    let mut accepted = 0;
    let refusal = loop {
        let txn = Txn { compares: vec![], ops: vec![put(&format!("/{accepted:03}"), &value)] };
        match store.commit(txn).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "the limit holds");
    };
    assert!(matches!(&refusal, Error::Unavailable(sentence) if sentence.contains("is full")), "{refusal}");
    assert!(accepted > 10);
    assert_eq!(store.snapshot().len(), accepted);
    for _ in 0..accepted {
        next(&mut watch).await;
    }
    store.close().await;
    assert_eq!(open(directory.path()).snapshot().len(), accepted);
}

#[tokio::test]
async fn a_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let Err(error) = Sqlite::open(options(directory.path())) else { panic!("two users") };
    let sentence =
        format!("data directory {} is in use by process {}", directory.path().display(), std::process::id());
    assert!(error.to_string().starts_with(&sentence), "{error}");
    store.close().await;
    open(directory.path());
}

#[tokio::test]
async fn what_is_not_ours_or_damaged_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let refusal = |wanted: &str| {
        let before = std::fs::read(&path).unwrap();
        let Err(error) = Sqlite::open(options(directory.path())) else { panic!("opened, not {wanted}") };
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        error
    };
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(matches!(refusal("is damaged"), Error::Corrupt(_)));

    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(other);
    assert!(matches!(refusal("another program"), Error::Format(_)));

    std::fs::remove_file(&path).unwrap();
    let store = open(directory.path());
    for number in 0..100 {
        run(&*store, vec![put(&format!("/{number}"), &"v".repeat(1000))]).await;
    }
    store.close().await;
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    assert!(matches!(refusal("format 99"), Error::Format(_)));
    let back = rusqlite::Connection::open(&path).unwrap();
    back.execute_batch("PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(back);

    // Noise over pages in the middle of the table.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 16 << 10], 32 << 10).unwrap();
    assert!(matches!(refusal("store.db"), Error::Corrupt(_)));
}

/// Inverts every byte and binds the value to its key's length.
struct Inverting;

impl Transformer for Inverting {
    fn seal(&self, key: &Key, plain: &Bytes) -> Result<Bytes, String> {
        let mark = key.as_str().len() as u8;
        Ok(std::iter::once(mark).chain(plain.iter().map(|byte| !byte)).collect())
    }

    fn open(&self, key: &Key, sealed: Bytes) -> Result<Bytes, String> {
        match sealed.split_first() {
            Some((mark, rest)) if *mark == key.as_str().len() as u8 => {
                Ok(rest.iter().map(|byte| !byte).collect())
            }
            _ => Err("it was sealed for another key".to_owned()),
        }
    }
}

#[tokio::test]
async fn the_disk_holds_only_sealed_values() {
    let directory = tempfile::tempdir().unwrap();
    let sealing = || SqliteOptions { transformer: Arc::new(Inverting), ..options(directory.path()) };
    let store = Sqlite::open(sealing()).unwrap();
    run(&*store, vec![put("/a", "a very plain text")]).await;
    run(&*store, vec![put("/a", "another plain text")]).await;
    assert_eq!(&store.snapshot().get(&"/a".into()).unwrap().value[..], b"another plain text");
    store.close().await;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"plain text"));
    }
    let store = Sqlite::open(sealing()).unwrap();
    let mut watch = store.watch(Scope::prefix(""), 2).unwrap();
    assert_eq!(told(&*next(&mut watch).await), "3 /a a very plain text>another plain text");
    store.close().await;
    let Err(Error::Corrupt(sentence)) =
        Sqlite::open(SqliteOptions { transformer: Arc::new(Refusing), ..options(directory.path()) })
    else {
        panic!("a value that cannot be opened is not passed over")
    };
    assert!(sentence.contains("the value of /a") && sentence.contains("no key"), "{sentence}");
}

struct Refusing;

impl Transformer for Refusing {
    fn seal(&self, _: &Key, _: &Bytes) -> Result<Bytes, String> {
        Err("no key".to_owned())
    }

    fn open(&self, _: &Key, _: Bytes) -> Result<Bytes, String> {
        Err("no key".to_owned())
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_sealed_refuses_only_its_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Sqlite::open(SqliteOptions { transformer: Arc::new(Refusing), ..options(directory.path()) }).unwrap();
    let refused = store.commit(Txn { compares: vec![], ops: vec![put("/a", "1")] }).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
    assert_eq!(run(&*store, vec![delete("/a")]).await, 1);
    assert!(store.writable().is_ok());
}

/// Reads the trigger from the value itself.
struct ByValue;

impl Indexer for ByValue {
    fn index(&self, _: &Key, value: &Bytes) -> Indexed {
        let node = String::from_utf8_lossy(value).into_owned();
        Indexed::new(Arc::new(value.len()), [Trigger::new("node", node)])
    }
}

#[tokio::test]
async fn what_comes_from_disk_is_indexed() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Sqlite::open(SqliteOptions { indexer: Arc::new(ByValue), ..options(directory.path()) }).unwrap();
    for (key, node) in [("/a", "one"), ("/b", "two"), ("/a", "three"), ("/b", "one")] {
        run(&*store, vec![put(key, node)]).await;
    }
    store.close().await;
    let store =
        Sqlite::open(SqliteOptions { indexer: Arc::new(ByValue), ..options(directory.path()) }).unwrap();
    let one = Trigger::new("node", "one");
    let snapshot = store.snapshot();
    let listed: Vec<_> = snapshot.by_trigger("", &one).map(|entry| entry.key.as_str()).collect();
    assert_eq!(listed, ["/b"]);
    assert_eq!(snapshot.get(&"/a".into()).unwrap().header::<usize>(), Some(&5));
    let mut watch = store.watch(Scope::prefix("").with_trigger(one), 1).unwrap();
    for wanted in ["2 /a ->one", "4 /a one>three", "5 /b two>one"] {
        assert_eq!(told(&*next(&mut watch).await), wanted);
    }
}

/// The log starts over although the writer never rests.
#[tokio::test]
async fn the_log_does_not_grow_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let value = "x".repeat(64 << 10);
    let mut most = 0;
    for round in 0..60 {
        let ops = (0..16).map(|number| put(&format!("/{number}"), &format!("{round}{value}"))).collect();
        run(&*store, ops).await;
        let log = std::fs::metadata(directory.path().join("store.db-wal")).unwrap();
        most = most.max(log.len());
    }
    assert!(most < 40 << 20, "the log had {most} bytes for 60 MiB of writes");
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Both(u8, u8),
    Stale(u8),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0_u8..6;
    let step = prop_oneof![
        6 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key.clone().prop_map(Step::Delete),
        2 => (key.clone(), key.clone()).prop_map(|(put, delete)| Step::Both(put, delete)),
        1 => key.prop_map(Step::Stale),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

type Model = std::collections::BTreeMap<String, (Bytes, Revision, Revision)>;

fn put_in(model: &mut Model, key: &str, value: &str, revision: Revision) {
    let created = model.get(key).map_or(revision, |(_, created, _)| *created);
    model.insert(key.to_owned(), (Bytes::copy_from_slice(value.as_bytes()), created, revision));
}

/// Runs `steps` on a store with a small window and a small history, and on a
/// map; they must never differ, and a watch must tell how to get from one state
/// to the next.
async fn agrees_with_a_model(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let limits = || Limits { window_events: 5, history_rows: 40, ..Limits::default() };
    let reopen = || Sqlite::open(SqliteOptions { limits: limits(), ..options(directory.path()) }).unwrap();
    let mut store = reopen();
    let (mut model, mut revision) = (Model::new(), 1);
    let (mut mirror, mut seen) = (Model::new(), 1);
    for (number, step) in steps.into_iter().enumerate() {
        let name = |key: u8| format!("/{key}");
        let value = |value: u8| format!("{number}-{value}");
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        match step {
            Step::Put(key, byte) => puts.push((name(key), value(byte))),
            Step::Delete(key) => deletes.push(name(key)),
            Step::Both(one, other) if one != other => {
                puts.push((name(one), value(0)));
                deletes.push(name(other));
            }
            Step::Both(..) => {}
            Step::Stale(key) => {
                let stale = Txn::update(name(key).into(), revision + 1, "".into(), Indexed::nothing());
                assert!(matches!(store.commit(stale).await, Err(Error::Conflict { .. })));
            }
            Step::Restart => {
                store.close().await;
                store = reopen();
            }
        }
        let ops: Vec<Op> = puts
            .iter()
            .map(|(key, value)| put(key, value))
            .chain(deletes.iter().map(|key| delete(key)))
            .collect();
        let before = model.clone();
        puts.iter().for_each(|(key, value)| put_in(&mut model, key, value, revision + 1));
        deletes.iter().for_each(|key| drop(model.remove(key)));
        revision += u64::from(model != before);
        assert_eq!(run(&*store, ops).await, revision);
        let wanted: Vec<_> = model
            .iter()
            .map(|(key, (value, created, revision))| (key.clone(), value.clone(), *created, *revision))
            .collect();
        assert_eq!(content(&store.snapshot()), wanted);
        if number % 7 == 6 {
            follow(&*store, &mut mirror, &mut seen).await;
            assert_eq!(mirror, model);
        }
    }
    store.close().await;
}

/// Brings `mirror` from revision `seen` to the newest by a watch.
async fn follow(store: &dyn Store, mirror: &mut Model, seen: &mut Revision) {
    let mut watch = store.watch(Scope::prefix(""), *seen).unwrap();
    let end = store.revision();
    let mut left = end.saturating_sub(*seen);
    while left > 0 {
        let event = next(&mut watch).await;
        left -= u64::from(event.revision > *seen);
        *seen = event.revision;
        apply(mirror, &event);
        // A transaction of two changes has its second right behind the first.
        if left == 0
            && let Some(rest) = watch.try_next()
        {
            assert_eq!(rest.revision, end);
            apply(mirror, &rest);
        }
    }
}

fn apply(mirror: &mut Model, event: &crate::Event) {
    let known = mirror.get(event.key.as_str()).map(|(value, ..)| value.clone());
    assert_eq!(event.previous.as_ref().map(|entry| entry.value.clone()), known);
    match &event.current {
        Some(entry) => {
            mirror.insert(entry.key.to_string(), (entry.value.clone(), entry.created, entry.revision));
        }
        None => drop(mirror.remove(event.key.as_str())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_store_agrees_with_a_map(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees_with_a_model(steps));
    }
}
