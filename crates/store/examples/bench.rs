//! Measures the durable engine: `cargo run --release -p store --example bench`.
//! Prints one line per figure. CPU is of the whole process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge::Edge;
use store::{Indexed, Indexer, Key, Limits, Op, Plain, Scope, Sqlite, SqliteOptions, Store, Trigger, Txn};
use tokio::time::Instant;

/// Stands for a decoder: gives every value the trigger of its first byte.
struct FirstByte;

impl Indexer for FirstByte {
    fn index(&self, _: &Key, value: &Bytes) -> Indexed {
        let node = format!("node-{}", value.first().copied().unwrap_or(0));
        Indexed::new(Arc::new(()), [Trigger::new("spec.nodeName", node)])
    }
}

fn open(directory: &std::path::Path) -> Arc<Sqlite> {
    let options = SqliteOptions {
        directory: directory.to_owned(),
        edge: Edge::system(),
        indexer: Arc::new(FirstByte),
        transformer: Arc::new(Plain),
        limits: Limits::default(),
        size_limit: None,
    };
    Sqlite::open(options).expect("the store opens")
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(measure());
}

async fn measure() {
    let directory =
        tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned())).expect("a directory");
    let memory = resident();
    let store = open(directory.path());
    println!("memory of an empty store              {:>10.1} MiB", mib(resident() - memory));

    for (writers, total) in [(1, 500), (64, 20_000)] {
        let (passed, cpu) = writing(&store, writers, total).await;
        println!(
            "create 1 KiB, {writers:>2} writers              {:>10.0} /s  {:>8.1} µs of CPU each",
            total as f64 / passed.as_secs_f64(),
            micros(cpu) / total as f64
        );
    }
    let (passed, cpu) = updating(&store, 64, 20_000).await;
    println!(
        "update 1 KiB, 64 writers              {:>10.0} /s  {:>8.1} µs of CPU each",
        20_000.0 / passed.as_secs_f64(),
        micros(cpu) / 20_000.0
    );
    for watchers in [0, 1000] {
        let (cpu, delivered) = watching(&store, watchers, 2000, None).await;
        println!(
            "2,000 updates before {watchers:>4} watchers     {delivered:>10} deliveries  {:>8.2} µs of CPU each",
            micros(cpu) / delivered.max(2000) as f64
        );
    }
    let (cpu, _) = watching(&store, 10_000, 2000, Some("elsewhere")).await;
    println!(
        "2,000 updates before 10,000 others                            {:>8.1} µs of CPU each",
        micros(cpu) / 2000.0
    );
    store.close().await;
    drop(store);

    let filled = tempfile::tempdir_in(directory.path()).expect("a directory");
    let store = open(filled.path());
    for start in (0..100_000).step_by(500) {
        let ops = (start..start + 500)
            .map(|number| put(format!("/registry/configmaps/default/c{number:06}"), number))
            .collect();
        store.commit(Txn { compares: vec![], ops }).await.expect("it is committed");
    }
    store.close().await;
    drop(store);
    let start = Instant::now();
    let store = open(filled.path());
    println!("open 100,000 x 1 KiB                  {:>10.0} ms", start.elapsed().as_secs_f64() * 1e3);
    reading(&*store);
    store.close().await;
}

fn put(key: String, number: usize) -> Op {
    Op::Put {
        key: key.into(),
        value: Bytes::from(vec![(number % 100) as u8; 1024]),
        indexed: Indexed::new(
            Arc::new(()),
            [Trigger::new("spec.nodeName", format!("node-{}", number % 100))],
        ),
        ttl: None,
    }
}

async fn writing(store: &Arc<Sqlite>, writers: usize, total: usize) -> (Duration, Duration) {
    spread(store, writers, total, |writer, number| format!("/registry/configmaps/w{writer}/c{number}")).await
}

async fn updating(store: &Arc<Sqlite>, writers: usize, total: usize) -> (Duration, Duration) {
    spread(store, writers, total, |writer, number| format!("/registry/configmaps/w{writer}/c{}", number % 20))
        .await
}

async fn spread(
    store: &Arc<Sqlite>,
    writers: usize,
    total: usize,
    key: impl Fn(usize, usize) -> String + Copy + Send + 'static,
) -> (Duration, Duration) {
    let (edge, start, cpu) = (Edge::system(), Instant::now(), cpu());
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            edge.tasks.spawn(async move {
                for number in 0..total / writers {
                    let ops = vec![put(key(writer, number), number)];
                    store.commit(Txn { compares: vec![], ops }).await.expect("it is committed");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    (start.elapsed(), crate::cpu() - cpu)
}

async fn watching(
    store: &Arc<Sqlite>,
    watchers: usize,
    updates: usize,
    node: Option<&str>,
) -> (Duration, usize) {
    let edge = Edge::system();
    let mut tasks = Vec::new();
    let last = store.revision() + updates as u64;
    for watcher in 0..watchers {
        let mut scope = Scope::prefix("/registry/configmaps/");
        if let Some(node) = node {
            scope = scope.with_trigger(Trigger::new("spec.nodeName", format!("{node}-{watcher}")));
        }
        let mut watch = store.watch(scope, store.revision()).expect("it can be watched");
        if node.is_some() {
            // Held, but with nothing to read.
            tasks.push(edge.tasks.spawn(async move { watch.next().await.map_or(0, |_| 1) }));
            continue;
        }
        tasks.push(edge.tasks.spawn(async move {
            let mut seen = 0;
            while let Ok(events) = watch.next_batch().await {
                seen += events.len();
                if events.last().is_some_and(|event| event.revision >= last) {
                    break;
                }
            }
            seen
        }));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let cpu = cpu();
    spread(store, 16, updates, |writer, number| format!("/registry/configmaps/w{writer}/c{}", number % 20))
        .await;
    let mut delivered = 0;
    if node.is_none() {
        for task in tasks {
            delivered += task.await.unwrap_or(0);
        }
    } else {
        tasks.iter().for_each(|task| task.abort());
    }
    (crate::cpu() - cpu, delivered)
}

fn reading(store: &dyn Store) {
    let prefix = "/registry/configmaps/";
    let timed = |name: &str, times: u32, work: &dyn Fn() -> usize| {
        let start = Instant::now();
        let mut found = 0;
        for _ in 0..times {
            found = work();
        }
        println!("{name:<38}{:>10.2} µs  ({found} entries)", micros(start.elapsed()) / f64::from(times));
    };
    let trigger = Trigger::new("spec.nodeName", "node-7");
    timed("snapshot", 100_000, &|| store.snapshot().len());
    timed("get", 100_000, &|| {
        usize::from(store.snapshot().get(&"/registry/configmaps/default/c050000".into()).is_some())
    });
    timed("walk 100,000 entries", 10, &|| {
        store.snapshot().range(prefix, None).filter(|entry| entry.created > 0).count()
    });
    timed("count 100,000 entries", 10, &|| store.snapshot().count(prefix, None));
    timed("list 1,000 of 100,000 by trigger", 100, &|| store.snapshot().by_trigger(prefix, &trigger).count());
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms; the name and what is before it are cut.
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes resident.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
