//! Taking over what an earlier run of the program left: pods go on as they
//! are. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use runtime::{ContainerState, ContainerStatus, SandboxState, SandboxStatus};

use super::act::read_exit;
use super::record::{Instance, PodRecord, Sandbox, Step};
use super::spec::PodExt;
use crate::container::config::labels;
use crate::container::security;

/// The record of a pod whose sandboxes these are, the oldest first.
pub fn adopt(pod: Arc<Pod>, mut sandboxes: Vec<SandboxStatus>, now: Timestamp) -> PodRecord {
    let mut record = PodRecord::new(pod.clone(), now);
    sandboxes.sort_by_key(|sandbox| sandbox.config.attempt);
    let Some(newest) = sandboxes.last() else { return record };
    record.sandboxes = newest.config.attempt + 1;
    record.sandbox = match newest.state {
        SandboxState::Ready => {
            Sandbox::Ready { id: newest.id.clone(), namespace: newest.network_namespace.clone() }
        }
        SandboxState::NotReady if pod.is_terminal() || pod.is_deleted() => {
            Sandbox::Stopped { id: newest.id.clone() }
        }
        SandboxState::NotReady => Sandbox::Dead { id: newest.id.clone() },
    };
    let ips = pod.status().pod_ips.iter().flatten().filter_map(|one| one.ip.parse().ok());
    record.addresses = ips.collect();
    // They were set up before the first container; a refresh looks after them.
    if newest.state == SandboxState::Ready && !newest.containers.is_empty() {
        record.volumes = Step::Done;
        record.stale = true;
    }
    let mut all: Vec<&ContainerStatus> = sandboxes.iter().flat_map(|sandbox| &sandbox.containers).collect();
    all.sort_by_key(|status| status.config.attempt);
    for status in all {
        let Some((_, container)) = pod.container(&status.config.name) else { continue };
        let own = record.containers.entry(status.config.name.clone()).or_default();
        let known = pod.container_status(&status.config.name);
        let time = |nanoseconds: i64| Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(now);
        let exit = (status.state != ContainerState::Running).then(|| {
            let mut exit = read_exit(&pod, &container, status);
            if status.state == ContainerState::Created {
                // Its start was cut short and will never come.
                exit.code = 137;
                exit.reason = "ContainerStatusUnknown".into();
            }
            exit
        });
        if let Some(old) = own.current.take() {
            own.last = old.exit;
        }
        own.restarts = status.config.attempt;
        own.current = Some(Instance {
            id: status.id.clone(),
            attempt: status.config.attempt,
            image_id: status.config.labels.get(labels::IMAGE_ID).cloned().unwrap_or_default(),
            image: known.map_or_else(|| status.config.image.clone(), |one| one.image.clone()),
            started: (status.started_at > 0).then(|| time(status.started_at)),
            exit,
            startup_passed: container.startup_probe.is_none()
                || known.is_some_and(|one| one.started == Some(true)),
            ready: container.readiness_probe.is_none() || known.is_some_and(|one| one.ready),
            condemned: None,
            user: Some(security::status_user(&status.config.user)),
        });
    }
    // The pause after a crash goes on where it was.
    for own in record.containers.values_mut() {
        if let Some(exit) = own.current.as_ref().and_then(|instance| instance.exit.as_ref())
            && own.restarts > 0
        {
            own.backoff.restarted(exit.finished, exit.finished);
            own.told = Some(exit.finished);
        }
    }
    record
}
