//! Faults cost no acknowledged data and heal by themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{cluster, script, wait_for};

/// kill -9 at random moments while clients write.
#[test]
fn killing_the_program_loses_nothing_acknowledged() {
    let mut cluster = cluster();
    cluster.kubectl().run_with("apply -f -", &script("witness", "sleep 3600"));
    wait_for(&cluster.kubectl(), "pod/witness", ".status.phase", "Running");
    let container = cluster.kubectl().field("pod/witness", ".status.containerStatuses[0].containerID");
    let started =
        cluster.kubectl().field("pod/witness", ".status.containerStatuses[0].state.running.startedAt");

    let mut acknowledged: BTreeMap<String, String> = BTreeMap::new();
    let mut seed = std::process::id() as u64 | 1;
    for round in 0..KILLS {
        let writing = AtomicBool::new(true);
        let written = std::thread::scope(|scope| {
            let (running, cluster) = (&writing, &cluster);
            let writer = scope.spawn(move || {
                let mut written = Vec::new();
                let mut count = 0;
                while running.load(Ordering::Relaxed) {
                    let name = format!("c-{round}-{count}");
                    let ran = cluster
                        .kubectl()
                        .try_run(&format!("create configmap {name} --from-literal=n={count}"));
                    if ran.succeeded() {
                        written.push((name, count.to_string()));
                    }
                    count += 1;
                }
                written
            });
            // xorshift: any moment of the writer's will do.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            std::thread::sleep(Duration::from_millis(20 + seed % 300));
            let pid = cluster.pid().to_string();
            let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
            writing.store(false, Ordering::Relaxed);
            writer.join().expect("the writer ends")
        });
        acknowledged.extend(written);
        cluster.kill();
        cluster.spawn();
        cluster.ready();
    }
    assert!(!acknowledged.is_empty());
    let list = cluster.kubectl().run("get configmaps -o json");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let items = list["items"].as_array().expect("a list");
    let mut revisions: Vec<_> =
        items.iter().map(|item| item["metadata"]["resourceVersion"].to_string()).collect();
    revisions.sort();
    let count = revisions.len();
    revisions.dedup();
    assert_eq!(revisions.len(), count, "a revision was given twice");
    for (name, value) in &acknowledged {
        let found = items.iter().find(|item| item["metadata"]["name"] == name.as_str());
        let found = found.unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        assert_eq!(found["data"]["n"], value.as_str());
    }
    assert_eq!(cluster.kubectl().field("pod/witness", ".status.containerStatuses[0].containerID"), container);
    assert_eq!(
        cluster.kubectl().field("pod/witness", ".status.containerStatuses[0].state.running.startedAt"),
        started
    );
}

/// How often the program is killed.
const KILLS: usize = 50;
