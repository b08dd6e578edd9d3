//! /stats/summary: what the node and its pods use.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use runtime::Stats;
use serde_json::{Value, json};

use super::NodeServer;
use crate::node::System;
use crate::pod::spec::PodExt;
use crate::pod::worker::Snapshot;

/// The last sample of each container, from which rates are made.
#[derive(Default)]
pub struct Rates(Mutex<BTreeMap<String, (i64, u64)>>);

impl Rates {
    /// Nanoseconds of CPU a second since the sample before (or the start).
    fn take(&self, key: &str, stats: &Stats, started: Option<Timestamp>) -> u64 {
        let before = self.0.lock().insert(key.to_owned(), (stats.timestamp, stats.cpu_usage));
        let (since, used) = before
            .filter(|(at, _)| *at < stats.timestamp)
            .or_else(|| Some((i64::try_from(started?.as_nanosecond()).ok()?, 0)))
            .unwrap_or((stats.timestamp, stats.cpu_usage));
        let passed = stats.timestamp.saturating_sub(since).max(1) as u128;
        let spent = stats.cpu_usage.saturating_sub(used);
        u64::try_from(u128::from(spent) * 1_000_000_000 / passed).unwrap_or(u64::MAX)
    }

    fn keep(&self, live: &[String]) {
        self.0.lock().retain(|key, _| live.contains(key));
    }
}

/// The counters of one pod and its containers.
pub struct PodUsage {
    pub snapshot: Arc<Snapshot>,
    pub whole: Option<Stats>,
    pub containers: Vec<(String, Stats)>,
}

impl NodeServer {
    pub(super) async fn usage(&self) -> Vec<PodUsage> {
        let runtime = &self.kubelet.context.drivers.runtime;
        let mut all = Vec::new();
        for snapshot in self.kubelet.manager.snapshots() {
            let whole = match &snapshot.sandbox {
                Some(id) => runtime.sandbox_stats(id).await.ok(),
                None => None,
            };
            let mut containers = Vec::new();
            for one in snapshot.containers.iter().filter(|one| one.running) {
                if let Ok(stats) = runtime.stats(&one.id).await {
                    containers.push((one.name.clone(), stats));
                }
            }
            all.push(PodUsage { snapshot, whole, containers });
        }
        all
    }

    pub(super) async fn summary(&self) -> Value {
        let context = &self.kubelet.context;
        let now = context.now();
        let usage = self.usage().await;
        let mut live = Vec::new();
        let mut pods = Vec::new();
        for pod in &usage {
            let started = pod.snapshot.pod.status().start_time.as_ref().map(|time| time.0);
            let uid = pod.snapshot.pod.uid();
            let containers: Vec<Value> = pod
                .containers
                .iter()
                .map(|(name, stats)| {
                    let key = format!("{uid}/{name}");
                    let rate = self.rates.take(&key, stats, started);
                    live.push(key);
                    let mut value = counters(stats, rate, now);
                    value["name"] = json!(name);
                    value["startTime"] = json!(started.map(Time));
                    value
                })
                .collect();
            let mut value = match &pod.whole {
                Some(stats) => {
                    let rate = self.rates.take(uid, stats, started);
                    live.push(uid.to_owned());
                    counters(stats, rate, now)
                }
                None => json!({}),
            };
            value["podRef"] = json!({"name": pod.snapshot.pod.name(), "namespace": pod.snapshot.pod.namespace(), "uid": uid});
            value["startTime"] = json!(started.map(Time));
            value["containers"] = json!(containers);
            pods.push(value);
        }
        self.rates.keep(&live);
        let (disk, free) = System::disk(&context.config.root);
        let (image_disk, image_free) = System::disk(context.drivers.images.directory());
        let (available, total) = (System::memory("MemAvailable"), context.capacity.memory_bytes);
        let (pids, most) = System::pids();
        let at = json!(Time(now));
        json!({
            "node": {
                "nodeName": context.config.node_name,
                "startTime": at,
                "cpu": {"time": at, "usageCoreNanoSeconds": node_cpu()},
                "memory": {"time": at, "availableBytes": available, "workingSetBytes": total - available, "usageBytes": total - System::memory("MemFree")},
                "fs": {"time": at, "capacityBytes": disk, "availableBytes": free, "usedBytes": disk - free},
                "runtime": {"imageFs": {"time": at, "capacityBytes": image_disk, "availableBytes": image_free, "usedBytes": image_disk - image_free}},
                "rlimit": {"time": at, "maxpid": most, "curproc": pids},
            },
            "pods": pods,
        })
    }
}

fn counters(stats: &Stats, rate: u64, now: Timestamp) -> Value {
    let at = json!(Time(now));
    let available = stats.memory_limit.map(|limit| limit.saturating_sub(stats.memory_working_set));
    let mut value = json!({
        "cpu": {"time": at, "usageNanoCores": rate, "usageCoreNanoSeconds": stats.cpu_usage},
        "memory": {
            "time": at, "usageBytes": stats.memory_usage, "workingSetBytes": stats.memory_working_set,
            "rssBytes": stats.memory_rss, "pageFaults": stats.page_faults, "majorPageFaults": stats.major_page_faults,
        },
        "process_stats": {"process_count": stats.pids},
    });
    if let Some(available) = available {
        value["memory"]["availableBytes"] = json!(available);
    }
    value
}

/// Nanoseconds that all CPUs have worked since the machine's start.
pub fn node_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // idle and iowait are no work; guest time is in user time already.
    let worked: u64 =
        ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks).sum();
    worked * 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_samples() {
        let rates = Rates::default();
        let sample = |timestamp: i64, cpu_usage| Stats { timestamp, cpu_usage, ..Stats::default() };
        let second = 1_000_000_000;
        assert_eq!(
            rates.take("a", &sample(10 * second, 5_000_000_000), Some(Timestamp::UNIX_EPOCH)),
            500_000_000
        );
        assert_eq!(rates.take("a", &sample(12 * second, 5_500_000_000), None), 250_000_000);
    }
}
