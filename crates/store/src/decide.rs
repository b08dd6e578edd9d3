//! What a transaction does to a root: a pure function of the root, the
//! transaction and the time. Never touches disk or watchers.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::position::Position;
use crate::snapshot::Root;
use crate::{Change, Committed, Compare, Entry, Error, Event, MAX_OPS, Op, Txn};

/// Applies `txn` to `root` and tells the answer and the events; on an error
/// `root` is as it was.
pub(crate) fn decide(
    root: &mut Root,
    txn: Txn,
    now: Timestamp,
) -> Result<(Committed, Vec<Arc<Event>>), Error> {
    well_formed(&txn)?;
    for (compare, wanted) in txn.compares.iter().enumerate() {
        let current = root.get(wanted.key().as_str());
        let holds = match wanted {
            Compare::Absent(_) => current.is_none(),
            Compare::Exists(_) => current.is_some(),
            Compare::Revision(_, revision) => current.is_some_and(|entry| entry.revision == *revision),
        };
        if !holds {
            return Err(Error::Conflict { compare, current: current.cloned() });
        }
    }
    let revision = root.revision + 1;
    let mut changes = Vec::with_capacity(txn.ops.len());
    let mut events = Vec::with_capacity(txn.ops.len());
    for op in txn.ops {
        let place = events.len() as u16;
        let (key, change) = apply(root, op, Position::new(revision, place), now);
        if change.previous.is_some() || change.current.is_some() {
            let Change { previous, current } = change.clone();
            events.push(Arc::new(Event { revision, key, previous, current, place }));
        }
        changes.push(change);
    }
    if !events.is_empty() {
        root.revision = revision;
    }
    Ok((Committed { revision: root.revision, changes }, events))
}

fn apply(root: &mut Root, op: Op, position: Position, now: Timestamp) -> (crate::Key, Change) {
    match op {
        Op::Put { key, value, indexed, ttl } => {
            let created = root.get(key.as_str()).map_or(position.revision(), |previous| previous.created);
            let entry = Arc::new(Entry {
                key: key.clone(),
                value,
                created,
                revision: position.revision(),
                indexed,
                expires: ttl.map(|ttl| after(now, ttl)),
                place: position.place(),
            });
            let previous = root.put(entry.clone());
            (key, Change { previous, current: Some(entry) })
        }
        Op::Delete { key } => {
            let previous = root.remove(&key);
            (key, Change { previous, current: None })
        }
    }
}

/// `now + ttl` in whole milliseconds, as the disk keeps it.
fn after(now: Timestamp, ttl: std::time::Duration) -> Timestamp {
    let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(now.as_millisecond().saturating_add(ttl)).unwrap_or(Timestamp::MAX)
}

fn well_formed(txn: &Txn) -> Result<(), Error> {
    if txn.ops.len() > MAX_OPS {
        let count = txn.ops.len();
        return Err(Error::Invalid(format!(
            "a transaction may hold {MAX_OPS} operations, this one has {count}"
        )));
    }
    let mut keys = BTreeSet::new();
    for op in &txn.ops {
        let key = op.key().as_str();
        if key.is_empty() {
            return Err(Error::Invalid("a key must not be empty".to_owned()));
        }
        if txn.ops.len() > 1 && !keys.insert(key) {
            return Err(Error::Invalid(format!("the transaction changes key {key} twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Indexed, Key};

    fn put(key: &str) -> Op {
        Op::Put { key: key.into(), value: "v".into(), indexed: Indexed::nothing(), ttl: None }
    }

    fn delete(key: &str) -> Op {
        Op::Delete { key: key.into() }
    }

    fn run(
        root: &mut Root,
        compares: Vec<Compare>,
        ops: Vec<Op>,
    ) -> Result<(Committed, Vec<Arc<Event>>), Error> {
        decide(root, Txn { compares, ops }, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn comparisons_decide() {
        let key = || Key::from("/a");
        let other = || Key::from("/b");
        // /a was created at 2 and changed at 3.
        let cases: [(Compare, bool); 7] = [
            (Compare::Absent(key()), false),
            (Compare::Absent(other()), true),
            (Compare::Exists(key()), true),
            (Compare::Exists(other()), false),
            (Compare::Revision(key(), 3), true),
            (Compare::Revision(key(), 2), false),
            (Compare::Revision(other(), 3), false),
        ];
        for (compare, holds) in cases {
            let mut root = Root::empty(1);
            run(&mut root, vec![], vec![put("/a")]).unwrap();
            run(&mut root, vec![], vec![put("/a")]).unwrap();
            let result = run(&mut root, vec![Compare::Exists(key()), compare.clone()], vec![put("/c")]);
            match result {
                Ok(_) => assert!(holds, "{compare:?}"),
                Err(Error::Conflict { compare: index, current }) => {
                    assert!(!holds && index == 1, "{compare:?}");
                    assert_eq!(current.is_some(), *compare.key() == key());
                    assert_eq!(root.revision, 3);
                    assert!(root.get("/c").is_none());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_transaction_takes_one_revision_for_all_its_changes() {
        let mut root = Root::empty(1);
        let (committed, events) =
            run(&mut root, vec![], vec![put("/a"), delete("/absent"), put("/b")]).unwrap();
        assert_eq!(committed.revision, 2);
        assert_eq!(committed.changes.len(), 3);
        assert!(committed.changes[1].previous.is_none() && committed.changes[1].current.is_none());
        let told: Vec<_> =
            events.iter().map(|event| (event.key.as_str(), event.revision, event.place)).collect();
        assert_eq!(told, [("/a", 2, 0), ("/b", 2, 1)]);
    }

    #[test]
    fn created_survives_changes_and_not_a_deletion() {
        let mut root = Root::empty(1);
        for (op, created) in
            [(put("/a"), Some(2)), (put("/a"), Some(2)), (delete("/a"), None), (put("/a"), Some(5))]
        {
            let (committed, _) = run(&mut root, vec![], vec![op]).unwrap();
            assert_eq!(committed.changes[0].current.as_ref().map(|entry| entry.created), created);
        }
    }

    #[test]
    fn what_changes_nothing_takes_no_revision() {
        let mut root = Root::empty(1);
        let (committed, events) = run(&mut root, vec![], vec![delete("/absent")]).unwrap();
        assert!(committed.revision == 1 && events.is_empty() && root.revision == 1);
    }

    #[test]
    fn malformed_transactions_are_refused() {
        let many = (0..=MAX_OPS).map(|index| put(&format!("/{index}"))).collect();
        for ops in [many, vec![put("/a"), delete("/a")], vec![put("")]] {
            let mut root = Root::empty(1);
            assert!(matches!(run(&mut root, vec![], ops), Err(Error::Invalid(_))));
        }
    }
}
