//! kill -9 at random moments: whatever was acknowledged is there afterwards,
//! and no revision is given twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use edge::{Random, SeededRandom};
use store::{Op, Store, Txn};

use crate::{open, put};

const KILLS: usize = 10;
const WRITERS: usize = 8;
const DIRECTORY: &str = "STORE_CRASH_DIRECTORY";
const ROUND: &str = "STORE_CRASH_ROUND";

/// The process that is killed: writes without end and tells what was acknowledged.
#[tokio::test]
#[ignore = "run by nothing_acknowledged_is_lost"]
async fn child() {
    let directory = std::env::var(DIRECTORY).expect("set by the parent");
    let round: usize = std::env::var(ROUND).expect("set by the parent").parse().expect("a number");
    let store = open(directory.as_ref()).expect("the store opens");
    let edge = edge::Edge::system();
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        edge.tasks.spawn(async move {
            for number in 0.. {
                let change = change(round, writer, number);
                let txn = match change.value {
                    None => {
                        Txn { compares: vec![], ops: vec![Op::Delete { key: change.key.as_str().into() }] }
                    }
                    Some(value) => put(&change.key, value),
                };
                let committed = store.commit(txn).await.expect("the disk works");
                let line = format!("{} {writer} {number}.\n", committed.revision);
                std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
            }
        })
    });
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(1);
    // What each key must hold; None where it is deleted.
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut highest, mut total) = (1, 0);
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        // Once it writes, it lives for up to 80 ms.
        let mut acknowledged = vec![lines.find(|line| parse(line).is_some()).expect("the child writes")];
        std::thread::sleep(Duration::from_millis(random.below(80)));
        child.kill().unwrap();
        acknowledged.extend(lines);
        child.wait().unwrap();

        let before = highest;
        let mut done = [0; WRITERS];
        for line in &acknowledged {
            // The last line may be cut.
            let Some((revision, writer, number)) = parse(line) else { continue };
            let change = change(round, writer, number);
            assert!(
                revision > before || change.value.is_none(),
                "revision {revision} was given before, {before} was known"
            );
            assert_eq!(number, done[writer], "a writer waits for each answer");
            highest = highest.max(revision);
            total += 1;
            done[writer] += 1;
            known.insert(change.key, change.value);
        }
        let store = open(directory.path()).expect("the store opens after a crash");
        assert!(store.revision() >= highest, "{} < {highest}", store.revision());
        highest = store.revision();
        let snapshot = store.snapshot();
        let held = |key: &str| {
            let entry = snapshot.get(&key.into());
            entry.map(|entry| std::str::from_utf8(&entry.value).unwrap().to_owned())
        };
        // The one change that each writer had under way may be there or not.
        for (writer, number) in done.into_iter().enumerate() {
            let under_way = change(round, writer, number);
            if held(&under_way.key) == under_way.value {
                known.insert(under_way.key, under_way.value);
            }
        }
        for (key, value) in &known {
            assert_eq!(&held(key), value, "{key} after round {round}");
        }
        store.close().await;
    }
    assert!(total > KILLS, "only {total} writes were tried");
}

struct Change {
    key: String,
    /// None deletes.
    value: Option<String>,
}

/// The `number`th change of a writer.
fn change(round: usize, writer: usize, number: usize) -> Change {
    Change {
        key: format!("/{writer}/{}", number % 50),
        value: (number % 9 != 8).then(|| format!("{round}.{number} {}", "x".repeat(number % 3000))),
    }
}

/// The revision, writer and number of an acknowledged change; None for a line
/// that tells none or was cut.
fn parse(line: &str) -> Option<(u64, usize, usize)> {
    let mut words = line.strip_suffix('.')?.split(' ').map(str::parse);
    let mut next = || words.next()?.ok();
    Some((next()?, next()? as usize, next()? as usize))
}
