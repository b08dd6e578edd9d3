//! Startup, readiness and liveness probes: one task for each that is due, from
//! the node to the pod. A task says something only when its verdict changes.

pub mod check;
mod grpc;
mod threshold;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use edge::Task;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use runtime::ContainerId;

use crate::context::Context;
use crate::pod::events::Events;
use crate::pod::record::PodRecord;
use crate::pod::spec::PodExt;
use crate::pod::worker::{Mailbox, Message};
use threshold::Threshold;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }
}

/// A probe's new verdict.
#[derive(Clone, Debug)]
pub struct Report {
    pub container: String,
    pub id: ContainerId,
    pub kind: Kind,
    pub healthy: bool,
    /// The probe's own terminationGracePeriodSeconds.
    pub grace_seconds: Option<i64>,
}

type Key = (String, ContainerId, Kind);

/// The probes of one pod.
pub struct Probes {
    context: Arc<Context>,
    mailbox: Mailbox,
    running: BTreeMap<Key, Task<()>>,
}

impl Probes {
    pub fn new(context: Arc<Context>, mailbox: Mailbox) -> Self {
        Self { context, mailbox, running: BTreeMap::new() }
    }

    /// Starts probes that are due and ends those that are not.
    pub fn follow(&mut self, record: &PodRecord) {
        let due = due(record);
        self.running.retain(|key, task| {
            let stays = due.contains_key(key);
            if !stays {
                task.abort();
            }
            stays
        });
        for (key, (probe, started)) in due {
            if self.running.contains_key(&key) {
                continue;
            }
            let Some((_, container)) = record.pod.container(&key.0) else { continue };
            let worker = Prober {
                context: self.context.clone(),
                mailbox: self.mailbox.clone(),
                pod: record.pod.clone(),
                container: container.into_owned(),
                address: self.context.facts(&record.pod, &record.addresses).pod_ips.first().copied(),
                id: key.1.clone(),
                kind: key.2,
                probe,
                started,
            };
            let task = self.context.drivers.edge.tasks.spawn(worker.run());
            self.running.insert(key, task);
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}

/// What should be probed now: nothing but startup until that has passed, and
/// only readiness once the pod is being stopped.
fn due(record: &PodRecord) -> BTreeMap<Key, (Probe, Timestamp)> {
    let mut due = BTreeMap::new();
    for (_, container) in record.pod.containers() {
        let Some(instance) = record.instance(&container.name).filter(|instance| instance.is_running()) else {
            continue;
        };
        let Some(started) = instance.started else { continue };
        let stopping = record.stopping.is_some() || instance.condemned.is_some();
        let mut add = |kind, probe: &Option<Probe>| {
            if let Some(probe) = probe {
                due.insert((container.name.clone(), instance.id.clone(), kind), (probe.clone(), started));
            }
        };
        if !instance.startup_passed {
            if !stopping {
                add(Kind::Startup, &container.startup_probe);
            }
            continue;
        }
        add(Kind::Readiness, &container.readiness_probe);
        if !stopping {
            add(Kind::Liveness, &container.liveness_probe);
        }
    }
    due
}

struct Prober {
    context: Arc<Context>,
    mailbox: Mailbox,
    pod: Arc<Pod>,
    container: Container,
    address: Option<IpAddr>,
    id: ContainerId,
    kind: Kind,
    probe: Probe,
    started: Timestamp,
}

/// While a container comes up, failures of the first period are no news; the
/// probe is tried again after pauses that double from this.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// A container that has just started is not killed for being slow.
const LIVENESS_HEAD_START: Duration = Duration::from_secs(1);

impl Prober {
    async fn run(self) {
        let seconds = |value: Option<i32>, default: u64| value.map_or(default, |value| value.max(0) as u64);
        let period = Duration::from_secs(seconds(self.probe.period_seconds, 10).max(1));
        let mut threshold = Threshold::new(
            seconds(self.probe.success_threshold, 1).max(1),
            seconds(self.probe.failure_threshold, 3).max(1),
        );
        self.wait_for_first(period, Duration::from_secs(seconds(self.probe.initial_delay_seconds, 0))).await;
        let begun = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut has_succeeded = false;
        loop {
            let at = tokio::time::Instant::now();
            let verdict = self.probe_once().await;
            has_succeeded |= verdict.is_ok();
            let coming_up = self.kind != Kind::Liveness && !has_succeeded && begun.elapsed() < period;
            if coming_up {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(period);
                continue;
            }
            if let Err(why) = &verdict {
                self.events().warning("Unhealthy", format!("{} probe failed: {why}", self.kind.as_str()));
            }
            if let Some(healthy) = threshold.take(verdict.is_ok()) {
                let report = Report {
                    container: self.container.name.clone(),
                    id: self.id.clone(),
                    kind: self.kind,
                    healthy,
                    grace_seconds: self.probe.termination_grace_period_seconds,
                };
                let _ = self.mailbox.send(Message::Probe(report));
            }
            tokio::time::sleep(period.saturating_sub(at.elapsed())).await;
        }
    }

    fn events(&self) -> Events {
        Events::about(&self.context.recorder, &self.pod).of(&self.container.name)
    }

    async fn wait_for_first(&self, period: Duration, delay: Duration) {
        let age = self.context.now().duration_since(self.started);
        let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
        if age > period + delay {
            // Adopted: many probes would otherwise start at the same moment.
            let random = &self.context.drivers.edge.random;
            tokio::time::sleep(period.mul_f64(random.fraction())).await;
            return;
        }
        let delay =
            if self.kind == Kind::Liveness { delay.max(LIVENESS_HEAD_START.min(period)) } else { delay };
        tokio::time::sleep(delay.saturating_sub(age)).await;
    }

    /// The error is what the event says.
    async fn probe_once(&self) -> Result<(), String> {
        let patience = Duration::from_secs(self.probe.timeout_seconds.unwrap_or(1).max(1) as u64);
        if let Some(exec) = &self.probe.exec {
            let command = exec.command.clone().unwrap_or_default();
            let runtime = &self.context.drivers.runtime;
            return match runtime.exec_sync(&self.id, &command, patience).await {
                Ok(output) if output.exit_code == 0 => Ok(()),
                Ok(output) => {
                    Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
                }
                Err(runtime::Error::Timeout { .. }) => Err(format!(
                    "command timed out: {:?} timed out after {}s",
                    command.join(" "),
                    patience.as_secs()
                )),
                Err(error) => Err(error.to_string()),
            };
        }
        if let Some(get) = &self.probe.http_get {
            let warning = check::http(get, &self.container, self.address, patience, "kube-probe").await?;
            if let Some(warning) = warning {
                self.events()
                    .warning("ProbeWarning", format!("{} probe warning: {warning}", self.kind.as_str()));
            }
            return Ok(());
        }
        if let Some(socket) = &self.probe.tcp_socket {
            return check::tcp(socket, &self.container, self.address, patience).await;
        }
        if let Some(grpc) = &self.probe.grpc {
            let tasks = self.context.drivers.edge.tasks.clone();
            return grpc::check(grpc, self.address, patience, tasks).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::record::Instance;

    #[test]
    fn startup_comes_before_all_others() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"uid": "u"},
            "spec": {"containers": [{"name": "c", "startupProbe": {}, "readinessProbe": {}, "livenessProbe": {}}]},
        }))
        .unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let mut record = PodRecord::new(Arc::new(pod), now);
        let kinds = |record: &PodRecord| due(record).into_keys().map(|(_, _, kind)| kind).collect::<Vec<_>>();
        assert!(kinds(&record).is_empty());
        record.containers.get_mut("c").unwrap().current = Some(Instance {
            id: ContainerId::parse(&"a".repeat(64)).unwrap(),
            attempt: 0,
            image_id: String::new(),
            image: String::new(),
            started: Some(now),
            exit: None,
            startup_passed: false,
            ready: false,
            condemned: None,
            user: None,
        });
        assert_eq!(kinds(&record), [Kind::Startup]);
        record.containers.get_mut("c").unwrap().current.as_mut().unwrap().startup_passed = true;
        assert_eq!(kinds(&record), [Kind::Readiness, Kind::Liveness]);
        record.stopping = Some(crate::pod::record::Stopping { since: now, deadline: now });
        assert_eq!(kinds(&record), [Kind::Readiness]);
    }
}
