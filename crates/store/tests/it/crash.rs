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
                let key = format!("/{writer}/{}", number % 50);
                let value = format!("{round}.{number} {}", "x".repeat(number % 3000));
                let deleting = number % 9 == 8;
                let txn = if deleting {
                    Txn { compares: vec![], ops: vec![Op::Delete { key: key.as_str().into() }] }
                } else {
                    put(&key, value.clone())
                };
                let committed = store.commit(txn).await.expect("the disk works");
                let value = if deleting { "-" } else { &value };
                let line = format!("{} {key} {value}\n", committed.revision);
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
    let mut known: BTreeMap<String, (u64, String)> = BTreeMap::new();
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
        for line in &acknowledged {
            // The last line may be cut.
            let Some((revision, key, value)) = parse(line) else { continue };
            assert!(
                revision > before || value == "-",
                "revision {revision} was given before, {before} was known"
            );
            highest = highest.max(revision);
            total += 1;
            let newest = known.entry(key.to_owned()).or_default();
            if revision >= newest.0 {
                *newest = (revision, value.to_owned());
            }
        }
        let store = open(directory.path()).expect("the store opens after a crash");
        assert!(store.revision() >= highest, "{} < {highest}", store.revision());
        highest = store.revision();
        let snapshot = store.snapshot();
        for (key, (revision, value)) in &known {
            let entry = snapshot.get(&key.as_str().into());
            // A writer has one proposal under way: a newer state was not acknowledged, but may be there.
            let newer = entry.is_some_and(|entry| entry.revision > *revision);
            let same = entry.map_or("-", |entry| std::str::from_utf8(&entry.value).unwrap()) == value;
            let deleted = entry.is_none() && key_is_due_for_deletion(value);
            assert!(
                newer || same || deleted,
                "{key} was acknowledged at {revision} as {value:.20} and is {entry:?}"
            );
        }
        store.close().await;
    }
    assert!(total > KILLS, "only {total} writes were tried");
}

/// Whether the writer's next change of this key may have been its deletion.
fn key_is_due_for_deletion(value: &str) -> bool {
    let number =
        value.split_once(' ').and_then(|(number, _)| number.split_once('.')).map(|(_, number)| number);
    number.and_then(|number| number.parse::<usize>().ok()).is_some_and(|number| (number + 50) % 9 == 8)
        || value == "-"
}

fn parse(line: &str) -> Option<(u64, &str, &str)> {
    let mut words = line.splitn(3, ' ');
    let revision = words.next()?.parse().ok()?;
    let key = words.next().filter(|key| key.starts_with('/'))?;
    Some((revision, key, words.next()?))
}
