//! The contract of [`Store`], as tests that every engine passes. Each takes an
//! [`Engine`], which opens empty stores.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use edge::Edge;
use tokio::time::timeout;

use crate::{
    Compare, Entry, Error, Event, Indexed, Key, Limits, Op, Revision, Scope, Snapshot, Store, Trigger, Txn,
};

/// Opens stores for the suite.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    /// An empty store.
    fn open(&self, limits: Limits) -> Arc<dyn Store>;

    /// Whether history outlives the window.
    fn remembers(&self) -> bool;
}

/// Runs the whole suite on an engine: `suite!(engine_expression);`.
macro_rules! suite {
    ($engine:expr; $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            let engine = $engine;
            tokio::time::timeout(std::time::Duration::from_secs(60), $crate::contract::$name(&engine))
                .await
                .expect("the test ends in time");
        })*
    };
    ($engine:expr) => {
        $crate::contract::suite! { $engine;
            create_update_delete
            transactions_are_whole
            what_changes_nothing_takes_no_revision
            snapshots_do_not_change
            ranges_and_counts
            lists_by_trigger
            a_watch_tells_everything_in_order
            a_watch_starts_in_the_past_or_in_the_future
            scopes_cover_folders_or_one_key
            triggers_look_at_both_sides
            a_dropped_wait_loses_nothing
            progress_follows_the_store
            a_slow_watcher_has_no_gap
            old_snapshots_are_exact
            waiting_for_a_revision
            entries_expire
            a_later_put_renews_or_takes_back_the_expiry
            writers_race_safely
            ending_watches_ends_nothing_else
            closing_ends_everything
        }
    };
}
pub(crate) use suite;

pub(crate) fn edge() -> Edge {
    Edge::system()
}

pub(crate) fn put(key: &str, value: &str) -> Op {
    put_on(key, value, None)
}

fn put_on(key: &str, value: &str, node: Option<&str>) -> Op {
    let triggers: Vec<_> = node.map(|node| Trigger::new("node", node)).into_iter().collect();
    Op::Put {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        indexed: Indexed::new(Arc::new(()), triggers),
        ttl: None,
    }
}

pub(crate) fn delete(key: &str) -> Op {
    Op::Delete { key: key.into() }
}

pub(crate) async fn run(store: &dyn Store, ops: Vec<Op>) -> Revision {
    store.commit(Txn { compares: vec![], ops }).await.expect("the transaction is accepted").revision
}

pub(crate) async fn next(watch: &mut crate::Watch) -> Arc<Event> {
    timeout(Duration::from_secs(20), watch.next())
        .await
        .expect("an event arrives")
        .expect("the watch goes on")
}

fn value(entry: &Option<Arc<Entry>>) -> Option<&str> {
    entry.as_ref().map(|entry| std::str::from_utf8(&entry.value).expect("tests write text"))
}

/// An event as text: `3 /a old>new`.
pub(crate) fn told(event: &Event) -> String {
    let (previous, current) = (value(&event.previous).unwrap_or("-"), value(&event.current).unwrap_or("-"));
    format!("{} {} {previous}>{current}", event.revision, event.key)
}

pub(crate) fn content(snapshot: &Snapshot) -> Vec<(String, Bytes, Revision, Revision)> {
    let row =
        |entry: &Arc<Entry>| (entry.key.to_string(), entry.value.clone(), entry.created, entry.revision);
    snapshot.range("", None).map(row).collect()
}

pub(crate) async fn create_update_delete(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    assert_eq!(store.revision(), 1);
    let key = || Key::from("/registry/a");
    let created = store.commit(Txn::create(key(), "one".into(), Indexed::nothing())).await.unwrap();
    assert_eq!(created.revision, 2);
    let Err(Error::Conflict { compare: 0, current: Some(current) }) =
        store.commit(Txn::create(key(), "two".into(), Indexed::nothing())).await
    else {
        panic!("a key is created once");
    };
    assert_eq!((current.created, current.revision, &current.value[..]), (2, 2, &b"one"[..]));
    let updated = store.commit(Txn::update(key(), 2, "two".into(), Indexed::nothing())).await.unwrap();
    assert_eq!(value(&updated.changes[0].previous), Some("one"));
    let stale = store.commit(Txn::update(key(), 2, "three".into(), Indexed::nothing())).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })));
    let entry = store.snapshot().get(&key()).cloned().unwrap();
    assert_eq!((entry.created, entry.revision, &entry.value[..]), (2, 3, &b"two"[..]));
    let deleted = store.commit(Txn::delete(key(), 3)).await.unwrap();
    assert_eq!((deleted.revision, value(&deleted.changes[0].previous)), (4, Some("two")));
    let gone = store.commit(Txn::delete(key(), 3)).await;
    assert!(matches!(gone, Err(Error::Conflict { compare: 0, current: None })));
    assert!(store.snapshot().is_empty());
    assert_eq!(store.latest().await.unwrap().revision(), 4);
}

pub(crate) async fn transactions_are_whole(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    assert_eq!(run(&*store, vec![put("/b", "1"), put("/a", "1"), delete("/none")]).await, 2);
    let half = Txn {
        compares: vec![Compare::Exists("/a".into()), Compare::Absent("/b".into())],
        ops: vec![put("/a", "2")],
    };
    assert!(matches!(store.commit(half).await, Err(Error::Conflict { compare: 1, .. })));
    let twice = Txn { compares: vec![], ops: vec![put("/a", "2"), delete("/a")] };
    assert!(matches!(store.commit(twice).await, Err(Error::Invalid(_))));
    assert_eq!(run(&*store, vec![delete("/a"), put("/b", "2"), put("/c", "1")]).await, 3);
    let mut events = Vec::new();
    while events.len() < 5 {
        events.push(told(&*next(&mut watch).await));
    }
    assert_eq!(events, ["2 /b ->1", "2 /a ->1", "3 /a 1>-", "3 /b 1>2", "3 /c ->1"]);
}

pub(crate) async fn what_changes_nothing_takes_no_revision(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    assert_eq!(run(&*store, vec![put("/a", "1")]).await, 2);
    assert_eq!(run(&*store, vec![delete("/none")]).await, 2);
    let only_compares = Txn { compares: vec![Compare::Exists("/a".into())], ops: vec![] };
    assert_eq!(store.commit(only_compares).await.unwrap().revision, 2);
    assert_eq!(store.revision(), 2);
}

pub(crate) async fn snapshots_do_not_change(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    run(&*store, vec![put("/a", "1"), put("/b", "1")]).await;
    let before = store.snapshot();
    run(&*store, vec![put("/a", "2"), delete("/b"), put("/c", "1")]).await;
    let keys: Vec<_> = before.range("", None).map(told_entry).collect();
    assert_eq!((before.revision(), keys), (2, vec!["/a=1".to_owned(), "/b=1".to_owned()]));
    let keys: Vec<_> = store.snapshot().range("", None).map(told_entry).collect();
    assert_eq!(keys, ["/a=2", "/c=1"]);
}

fn told_entry(entry: &Arc<Entry>) -> String {
    format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value))
}

pub(crate) async fn ranges_and_counts(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let keys = ["/p/a", "/p/a/b", "/p/b", "/p/c", "/p0", "/pods/a"];
    run(&*store, keys.iter().map(|key| put(key, "")).collect()).await;
    let snapshot = store.snapshot();
    let cases: [(&str, Option<&str>, &[&str]); 7] = [
        ("", None, &keys),
        ("/p/", None, &["/p/a", "/p/a/b", "/p/b", "/p/c"]),
        ("/p/", Some("/p/a"), &["/p/a/b", "/p/b", "/p/c"]),
        ("/p/", Some("/p/aa"), &["/p/b", "/p/c"]),
        ("/p/", Some("/a"), &["/p/a", "/p/a/b", "/p/b", "/p/c"]),
        ("/p/", Some("/p/c"), &[]),
        ("/x/", None, &[]),
    ];
    for (prefix, after, wanted) in cases {
        let found: Vec<_> = snapshot.range(prefix, after).map(|entry| entry.key.as_str()).collect();
        assert_eq!(found, wanted, "{prefix} after {after:?}");
        assert_eq!(snapshot.count(prefix, after), wanted.len());
    }
    assert_eq!(snapshot.len(), keys.len());
}

pub(crate) async fn lists_by_trigger(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    for (key, node) in [("/p/a", "1"), ("/p/b", "2"), ("/q/c", "1"), ("/p/d", "1")] {
        run(&*store, vec![put_on(key, "", Some(node))]).await;
    }
    let on = |prefix: &str, node: &str| -> Vec<String> {
        let trigger = Trigger::new("node", node);
        store.snapshot().by_trigger(prefix, &trigger).map(|entry| entry.key.to_string()).collect()
    };
    assert_eq!(on("/p/", "1"), ["/p/a", "/p/d"]);
    assert_eq!(on("", "1"), ["/p/a", "/p/d", "/q/c"]);
    run(&*store, vec![put_on("/p/a", "", Some("2")), delete("/p/d"), put_on("/q/c", "", None)]).await;
    assert_eq!(on("", "1"), Vec::<String>::new());
    assert_eq!(on("", "2"), ["/p/a", "/p/b"]);
}

pub(crate) async fn a_watch_tells_everything_in_order(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix("/a/"), 1).unwrap();
    run(&*store, vec![put("/a/x", "1")]).await;
    run(&*store, vec![put("/b/x", "1")]).await;
    run(&*store, vec![put("/a/x", "2")]).await;
    run(&*store, vec![delete("/a/x")]).await;
    let mut events = Vec::new();
    while events.len() < 3 {
        events.extend(watch.next_batch().await.unwrap().iter().map(|event| told(event)));
    }
    assert_eq!(events, ["2 /a/x ->1", "4 /a/x 1>2", "5 /a/x 2>-"]);
    assert!(watch.try_next().is_none());
    run(&*store, vec![put("/a/y", "1")]).await;
    assert_eq!(told(&*next(&mut watch).await), "6 /a/y ->1");
}

pub(crate) async fn a_watch_starts_in_the_past_or_in_the_future(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    for number in 2..6 {
        run(&*store, vec![put("/a", &number.to_string())]).await;
    }
    let mut past = store.watch(Scope::prefix(""), 3).unwrap();
    assert_eq!(told(&*next(&mut past).await), "4 /a 3>4");
    let mut future = store.watch(Scope::prefix(""), 6).unwrap();
    run(&*store, vec![put("/a", "6")]).await;
    run(&*store, vec![put("/a", "7")]).await;
    assert_eq!(told(&*next(&mut future).await), "7 /a 6>7");
}

pub(crate) async fn scopes_cover_folders_or_one_key(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut folder = store.watch(Scope::prefix("/p/"), 1).unwrap();
    let mut one = store.watch(Scope::prefix("/p/a"), 1).unwrap();
    let mut all = store.watch(Scope::prefix(""), 1).unwrap();
    for key in ["/p0", "/p/ab", "/p/a"] {
        run(&*store, vec![put(key, "")]).await;
    }
    assert_eq!(next(&mut one).await.key.as_str(), "/p/a");
    assert_eq!(next(&mut folder).await.key.as_str(), "/p/ab");
    assert_eq!(next(&mut folder).await.key.as_str(), "/p/a");
    assert_eq!(next(&mut all).await.key.as_str(), "/p0");
}

pub(crate) async fn triggers_look_at_both_sides(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let scope = |node: &str| Scope::prefix("/p/").with_trigger(Trigger::new("node", node));
    let mut one = store.watch(scope("one"), 1).unwrap();
    let mut two = store.watch(scope("two"), 1).unwrap();
    for (value, node) in [("1", None), ("2", Some("one")), ("3", Some("one")), ("4", Some("two"))] {
        run(&*store, vec![put_on("/p/a", value, node)]).await;
    }
    run(&*store, vec![delete("/p/a")]).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(told(&*next(&mut one).await));
    }
    assert_eq!(events, ["3 /p/a 1>2", "4 /p/a 2>3", "5 /p/a 3>4"]);
    assert_eq!(told(&*next(&mut two).await), "5 /p/a 3>4");
    assert_eq!(told(&*next(&mut two).await), "6 /p/a 4>-");
    assert!(one.try_next().is_none() && two.try_next().is_none());
}

pub(crate) async fn a_dropped_wait_loses_nothing(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    assert!(timeout(Duration::from_millis(1), watch.next()).await.is_err());
    run(&*store, vec![put("/a", "1")]).await;
    assert_eq!(told(&*next(&mut watch).await), "2 /a ->1");
    assert!(timeout(Duration::from_millis(1), watch.next()).await.is_err());
    run(&*store, vec![put("/a", "2")]).await;
    assert_eq!(told(&*next(&mut watch).await), "3 /a 1>2");
}

pub(crate) async fn progress_follows_the_store(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix("/a/"), 1).unwrap();
    assert!(watch.try_next().is_none());
    for _ in 0..5 {
        run(&*store, vec![put("/b/x", "")]).await;
    }
    store.at_least(6).await.unwrap();
    assert_eq!(watch.progress(), 6);
    run(&*store, vec![put("/a/x", "")]).await;
    run(&*store, vec![put("/b/x", "")]).await;
    store.at_least(8).await.unwrap();
    assert!(watch.progress() < 7, "an event that was not read yet is no progress");
    next(&mut watch).await;
    assert!(watch.try_next().is_none());
    assert_eq!(watch.progress(), 8);
}

pub(crate) async fn a_slow_watcher_has_no_gap(engine: &dyn Engine) {
    let store = engine.open(Limits { window_events: 16, ..Limits::default() });
    let mut watch = store.watch(Scope::prefix("/a/"), 1).unwrap();
    for number in 0..200 {
        run(&*store, vec![put(&format!("/a/{}", number % 7), &number.to_string()), put("/b", "")]).await;
    }
    if !engine.remembers() {
        assert!(matches!(watch.next().await, Err(Error::Compacted { oldest: 2.. })));
        assert!(matches!(store.watch(Scope::prefix(""), 1), Err(Error::Compacted { .. })));
        return;
    }
    for number in 0..200_u64 {
        let event = next(&mut watch).await;
        let previous = number.checked_sub(7).map_or("-".to_owned(), |before| before.to_string());
        assert_eq!(told(&event), format!("{} /a/{} {previous}>{number}", number + 2, number % 7));
        if number == 150 {
            // The end is read while more comes.
            run(&*store, vec![put("/a/x", "last")]).await;
        }
    }
    assert_eq!(told(&*next(&mut watch).await), "202 /a/x ->last");
}

pub(crate) async fn old_snapshots_are_exact(engine: &dyn Engine) {
    let limits = Limits { window_events: 40, retained_roots: 2, ..Limits::default() };
    let store = engine.open(limits);
    let mut taken = BTreeMap::new();
    for number in 0..60_u64 {
        let key = format!("/{}", number * 7 % 11);
        let op = if number % 5 == 4 { delete(&key) } else { put(&key, &number.to_string()) };
        run(&*store, vec![op]).await;
        taken.insert(store.revision(), content(&store.snapshot()));
    }
    let mut compacted = 0;
    for (revision, wanted) in &taken {
        match store.snapshot_at(*revision).await {
            Ok(snapshot) => {
                assert_eq!(snapshot.revision(), *revision);
                assert_eq!(content(&snapshot), *wanted, "at {revision}");
            }
            Err(Error::Compacted { oldest }) if !engine.remembers() => {
                assert!(*revision < oldest);
                compacted += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(compacted > 0, !engine.remembers());
    let current = store.revision();
    assert!(
        matches!(store.snapshot_at(current + 1).await, Err(Error::FutureRevision { current: told }) if told == current)
    );
}

pub(crate) async fn waiting_for_a_revision(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    store.at_least(1).await.unwrap();
    assert!(timeout(Duration::from_millis(5), store.at_least(3)).await.is_err());
    let (waited, ()) = tokio::join!(store.at_least(3), async {
        run(&*store, vec![put("/a", "1")]).await;
        run(&*store, vec![put("/a", "2")]).await;
    });
    waited.unwrap();
    assert_eq!(store.revision(), 3);
}

pub(crate) async fn entries_expire(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    let expiring = |key: &str, after| {
        Txn::create(key.into(), "".into(), Indexed::nothing()).expiring(Duration::from_millis(after))
    };
    store.commit(expiring("/slow", 3_600_000)).await.unwrap();
    store.commit(expiring("/late", 60)).await.unwrap();
    store.commit(expiring("/soon", 20)).await.unwrap();
    run(&*store, vec![put("/stays", "")]).await;
    let mut events = Vec::new();
    while events.len() < 6 {
        events.push(told(&*next(&mut watch).await));
    }
    assert_eq!(events[4..], ["6 /soon >-", "7 /late >-"]);
    let left: Vec<_> = store.snapshot().range("", None).map(|entry| entry.key.to_string()).collect();
    assert_eq!(left, ["/slow", "/stays"]);
}

pub(crate) async fn a_later_put_renews_or_takes_back_the_expiry(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let expiring = |key: &str, after| {
        let mut txn = Txn::default();
        txn.ops.push(put(key, ""));
        txn.expiring(Duration::from_millis(after))
    };
    for key in ["/renewed", "/kept", "/ends"] {
        store.commit(expiring(key, 30)).await.unwrap();
    }
    store.commit(expiring("/renewed", 3_600_000)).await.unwrap();
    run(&*store, vec![put("/kept", "")]).await;
    store.at_least(7).await.unwrap();
    let snapshot = store.snapshot();
    let left: Vec<_> =
        snapshot.range("", None).map(|entry| (entry.key.as_str(), entry.expires.is_some())).collect();
    assert_eq!(left, [("/kept", false), ("/renewed", true)]);
}

pub(crate) async fn writers_race_safely(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    run(&*store, vec![put("/counter", "0")]).await;
    let mut watch = store.watch(Scope::prefix("/counter"), 2).unwrap();
    let edge = edge();
    let mut writers = Vec::new();
    for _ in 0..16 {
        let store = store.clone();
        writers.push(edge.tasks.spawn(async move {
            let mut added = 0_u64;
            while added < 8 {
                let entry = store.snapshot().get(&"/counter".into()).cloned().unwrap();
                let count: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                let value = Bytes::from((count + 1).to_string());
                match store
                    .commit(Txn::update(entry.key.clone(), entry.revision, value, Indexed::nothing()))
                    .await
                {
                    Ok(committed) => {
                        // What was answered is visible.
                        assert!(store.snapshot().revision() >= committed.revision);
                        added += 1;
                    }
                    Err(Error::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("no writer panics");
    }
    let entry = store.snapshot().get(&"/counter".into()).cloned().unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"128"[..], 130));
    for count in 1..=128_u64 {
        assert_eq!(told(&*next(&mut watch).await), format!("{} /counter {}>{count}", count + 2, count - 1));
    }
}

pub(crate) async fn ending_watches_ends_nothing_else(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    let (event, ()) = tokio::join!(watch.next(), async { store.end_watches() });
    assert!(matches!(event, Err(Error::Closed)));
    assert!(matches!(store.watch(Scope::prefix(""), 1), Err(Error::Closed)));
    run(&*store, vec![put("/a", "")]).await;
    store.at_least(2).await.expect("the store goes on");
}

pub(crate) async fn closing_ends_everything(engine: &dyn Engine) {
    let store = engine.open(Limits::default());
    run(&*store, vec![put("/a", "")]).await;
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    next(&mut watch).await;
    assert!(store.writable().is_ok());
    let (event, waited, ()) = tokio::join!(watch.next(), store.at_least(99), store.close());
    assert!(matches!(event, Err(Error::Closed)) && matches!(waited, Err(Error::Closed)));
    let refused = store.commit(Txn { compares: vec![], ops: vec![put("/b", "")] }).await;
    assert!(matches!(refused, Err(Error::Closed)));
    assert!(matches!(store.watch(Scope::prefix(""), 1), Err(Error::Closed)));
    assert!(matches!(store.writable(), Err(Error::Closed)));
    assert_eq!(store.snapshot().len(), 1);
}
