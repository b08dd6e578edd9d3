//! Sandbox with network, volumes, and the images that are needed first: all
//! side by side.

use jiff::Timestamp;

use super::{Action, Fate, Plan, State, fate, is_initialized, wait_for_image};
use crate::pod::record::{ImageStep, PodRecord, Sandbox, Step};
use crate::pod::spec::{PodExt, Role};

pub(super) fn plan(record: &PodRecord, now: Timestamp) -> Plan {
    let mut plan = Plan::new(State::Preparing);
    match &record.sandbox {
        Sandbox::Ready { .. } => {}
        Sandbox::Failed(failure) if now < failure.until => plan.wake_at(failure.until),
        Sandbox::None | Sandbox::Dead { .. } | Sandbox::Stopped { .. } | Sandbox::Failed(_) => {
            plan.push(record, Action::CreateSandbox);
        }
    }
    match &record.volumes {
        Step::Done => {}
        Step::Failed(failure) if now < failure.until => plan.wake_at(failure.until),
        Step::Pending | Step::Failed(_) => plan.push(record, Action::MountVolumes),
    }
    for container in first_wanted(record) {
        let image = record.containers.get(&container).map(|own| &own.image);
        match image {
            Some(ImageStep::Present(_)) => {}
            Some(ImageStep::Failed(failure)) if now < failure.until => {
                wait_for_image(&mut plan, record, &container, failure, now);
            }
            _ => plan.push(record, Action::EnsureImage { container }),
        }
    }
    plan
}

/// The containers that start as soon as the pod is prepared.
fn first_wanted(record: &PodRecord) -> Vec<String> {
    let idle = |role: Role| {
        record
            .pod
            .containers()
            .filter(move |(one, container)| *one == role && fate(record, role, container) == Fate::NotStarted)
            .map(|(_, container)| container.name.clone())
    };
    if is_initialized(record) {
        return idle(Role::Main).collect();
    }
    let first = record.pod.containers().find(|(role, container)| {
        matches!(role, Role::Init | Role::Sidecar) && fate(record, *role, container) == Fate::NotStarted
    });
    first.map(|(_, container)| container.name.clone()).into_iter().collect()
}
