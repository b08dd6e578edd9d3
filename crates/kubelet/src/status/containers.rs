//! `containerStatuses`, `initContainerStatuses` and `ephemeralContainerStatuses`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::SCHEME;
use crate::pod::record::{ContainerRecord, Exit, ImageStep, PodRecord};
use crate::pod::spec::{PodExt, Role, restarts};
use crate::pod::state::stop_wanted;

/// One status for each container, in the order in which a status lists them:
/// init containers as they start, others by name.
pub fn statuses(record: &PodRecord, now: Timestamp) -> Vec<(Role, ContainerStatus)> {
    let has_init = record.pod.spec().init_containers.as_ref().is_some_and(|list| !list.is_empty());
    let planned = record
        .pod
        .containers()
        .map(|(role, container)| (role, status(record, role, container, has_init, now)));
    let added = record
        .pod
        .ephemeral_containers()
        .map(|container| (Role::Ephemeral, status(record, Role::Ephemeral, &container, has_init, now)));
    let mut all: Vec<_> = planned.chain(added).collect();
    all.sort_by_key(|(role, status)| match role {
        Role::Init | Role::Sidecar => (0, String::new()),
        Role::Main => (1, status.name.clone()),
        Role::Ephemeral => (2, status.name.clone()),
    });
    all
}

fn status(
    record: &PodRecord,
    role: Role,
    container: &Container,
    has_init: bool,
    now: Timestamp,
) -> ContainerStatus {
    let own = record.containers.get(&container.name).cloned().unwrap_or_default();
    let (state, last_state) = states(record, role, container, &own, has_init, now);
    let running = state.running.is_some();
    let instance = own.current.as_ref();
    let started = running && instance.is_some_and(|one| one.startup_passed);
    let ready = match role {
        Role::Ephemeral => false,
        Role::Init => state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0),
        _ => started && instance.is_some_and(|one| one.ready),
    };
    ContainerStatus {
        name: container.name.clone(),
        image: instance.map(|one| one.image.clone()).or_else(|| container.image.clone()).unwrap_or_default(),
        image_id: instance.map(|one| one.image_id.clone()).unwrap_or_default(),
        container_id: instance.map(|one| format!("{SCHEME}://{}", one.id)),
        state: Some(state),
        last_state: Some(last_state),
        ready,
        started: (role != Role::Ephemeral).then_some(started),
        restart_count: i32::try_from(own.restarts).unwrap_or(i32::MAX),
        allocated_resources: container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.clone())
            .filter(|requests| running && !requests.is_empty()),
        resources: running.then(|| container.resources.clone().unwrap_or_default()),
        user: instance.filter(|_| running).and_then(|one| one.user.clone()),
        volume_mounts: Some(
            container
                .volume_mounts
                .iter()
                .flatten()
                .map(|mount| VolumeMountStatus {
                    name: mount.name.clone(),
                    mount_path: mount.mount_path.clone(),
                    read_only: mount.read_only,
                    recursive_read_only: mount.read_only.filter(|only| *only).map(|_| {
                        match mount.recursive_read_only.as_deref() {
                            Some("Enabled" | "IfPossible") => "Enabled".into(),
                            _ => "Disabled".into(),
                        }
                    }),
                    ..VolumeMountStatus::default()
                })
                .collect::<Vec<_>>(),
        )
        .filter(|list| !list.is_empty()),
        ..ContainerStatus::default()
    }
}

/// `state` and `lastState`.
fn states(
    record: &PodRecord,
    role: Role,
    container: &Container,
    own: &ContainerRecord,
    has_init: bool,
    now: Timestamp,
) -> (ContainerState, ContainerState) {
    let last = own.last.as_ref().map(terminated).unwrap_or_default();
    let over = stop_wanted(record);
    let Some(instance) = &own.current else {
        let (reason, message) = obstacle(own).unwrap_or_else(|| {
            (if has_init { "PodInitializing" } else { "ContainerCreating" }.to_owned(), String::new())
        });
        return (waiting(reason, message), last);
    };
    match &instance.exit {
        None => match instance.started {
            Some(started) => {
                let running = ContainerStateRunning { started_at: Some(Time(started)) };
                (ContainerState { running: Some(running), ..ContainerState::default() }, last)
            }
            None => (waiting("ContainerCreating".into(), String::new()), last),
        },
        Some(exit) => {
            if over || !restarts(&record.pod, role, container, exit.code) {
                return (terminated(exit), last);
            }
            let pause = own.backoff.pause(exit.finished, now);
            if let Some((delay, _)) = pause {
                let message = format!(
                    "back-off {} restarting failed container={} pod={}",
                    go_duration(delay.as_secs()),
                    container.name,
                    record.pod.display()
                );
                return (waiting("CrashLoopBackOff".into(), message), terminated(exit));
            }
            match obstacle(own) {
                Some((reason, message)) => (waiting(reason, message), terminated(exit)),
                None => (terminated(exit), last),
            }
        }
    }
}

/// What stands between the container and its next start.
fn obstacle(own: &ContainerRecord) -> Option<(String, String)> {
    let failure = own.failure.as_ref().or(match &own.image {
        ImageStep::Failed(failure) => Some(failure),
        _ => None,
    })?;
    Some((failure.reason.to_owned(), failure.message.clone()))
}

fn waiting(reason: String, message: String) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason),
        message: Some(message).filter(|text| !text.is_empty()),
    };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(exit: &Exit) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: exit.id.as_ref().map(|id| format!("{SCHEME}://{id}")),
        exit_code: exit.code,
        reason: Some(exit.reason.clone()).filter(|text| !text.is_empty()),
        message: Some(exit.message.clone()).filter(|text| !text.is_empty()),
        started_at: exit.started.map(Time),
        finished_at: Some(Time(exit.finished)),
        signal: None,
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// `1m20s`, as Go prints a Duration of whole seconds.
pub fn go_duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
