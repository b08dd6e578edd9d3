//! /metrics and /metrics/resource in Prometheus' text form.

use std::fmt::Write;

use super::NodeServer;
use super::stats::node_cpu;
use crate::node::System;
use crate::pod::spec::PodExt;

/// A family: name, type, help, and its lines.
fn family(out: &mut String, name: &str, kind: &str, help: &str, lines: &[(String, String)]) {
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in lines {
        let _ = match labels.is_empty() {
            true => writeln!(out, "{name} {value}"),
            false => writeln!(out, "{name}{{{labels}}} {value}"),
        };
    }
}

impl NodeServer {
    pub(super) fn metrics(&self) -> String {
        let snapshots = self.kubelet.manager.snapshots();
        let running = snapshots.iter().filter(|pod| pod.containers.iter().any(|one| one.running)).count();
        let containers = |running: bool| {
            snapshots
                .iter()
                .flat_map(|pod| &pod.containers)
                .filter(|one| one.running == running)
                .count()
                .to_string()
        };
        let mut out = String::new();
        let node = format!("node={:?}", self.kubelet.context.config.node_name);
        family(
            &mut out,
            "kubelet_node_name",
            "gauge",
            "The node's name. The count is always 1.",
            &[(node, "1".into())],
        );
        let rows = [(String::new(), running.to_string())];
        family(
            &mut out,
            "kubelet_running_pods",
            "gauge",
            "Number of pods that have a running pod sandbox",
            &rows,
        );
        let rows = [
            ("container_state=\"exited\"".to_owned(), containers(false)),
            ("container_state=\"running\"".to_owned(), containers(true)),
        ];
        family(
            &mut out,
            "kubelet_running_containers",
            "gauge",
            "Number of containers currently running",
            &rows,
        );
        out
    }

    pub(super) async fn resource_metrics(&self) -> String {
        let usage = self.usage().await;
        let seconds = |nanoseconds: u64| format!("{}", nanoseconds as f64 / 1e9);
        // With the time of the sample in milliseconds: rates are made of the difference.
        let dated = |value: String, at: i64| format!("{value} {}", at / 1_000_000);
        let (mut cpu, mut memory, mut pod_cpu, mut pod_memory) = (vec![], vec![], vec![], vec![]);
        for pod in &usage {
            let place =
                format!("namespace={:?},pod={:?}", pod.snapshot.pod.namespace(), pod.snapshot.pod.name());
            for (name, stats) in &pod.containers {
                let labels = format!("container={name:?},{place}");
                cpu.push((labels.clone(), dated(seconds(stats.cpu_usage), stats.timestamp)));
                memory.push((labels, dated(stats.memory_working_set.to_string(), stats.timestamp)));
            }
            if let Some(stats) = &pod.whole {
                pod_cpu.push((place.clone(), dated(seconds(stats.cpu_usage), stats.timestamp)));
                pod_memory.push((place, dated(stats.memory_working_set.to_string(), stats.timestamp)));
            }
        }
        let now = i64::try_from(self.kubelet.context.now().as_nanosecond()).unwrap_or(i64::MAX);
        let node_memory = self.kubelet.context.capacity.memory_bytes - System::memory("MemAvailable");
        let mut out = String::new();
        let one = |value: String| [(String::new(), value)];
        family(
            &mut out,
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
            &cpu,
        );
        family(
            &mut out,
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set of the container in bytes",
            &memory,
        );
        family(
            &mut out,
            "node_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the node in core-seconds",
            &one(dated(seconds(node_cpu()), now)),
        );
        family(
            &mut out,
            "node_memory_working_set_bytes",
            "gauge",
            "Current working set of the node in bytes",
            &one(dated(node_memory.to_string(), now)),
        );
        family(
            &mut out,
            "pod_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the pod in core-seconds",
            &pod_cpu,
        );
        family(
            &mut out,
            "pod_memory_working_set_bytes",
            "gauge",
            "Current working set of the pod in bytes",
            &pod_memory,
        );
        family(
            &mut out,
            "resource_scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
            &one("0".into()),
        );
        out
    }
}
