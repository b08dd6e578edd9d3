//! `status.phase`.

use k8s_openapi::api::core::v1::ContainerStatus;

use crate::pod::record::PodRecord;
use crate::pod::spec::{PodExt, Role, restarts};
use crate::pod::state::{is_complete, is_initialized, stop_wanted};

pub fn phase(record: &PodRecord, containers: &[(Role, ContainerStatus)]) -> &'static str {
    if record.rejected.is_some() {
        return "Failed";
    }
    // A terminal phase never goes back.
    match record.pod.status().phase.as_deref() {
        Some("Failed") => return "Failed",
        Some("Succeeded") => return "Succeeded",
        _ => {}
    }
    let alive = record.alive().next().is_some();
    if !alive && record.ended.is_some() {
        return "Failed";
    }
    let mains = || containers.iter().filter(|(role, _)| *role == Role::Main).map(|(_, status)| status);
    let exit_code = |status: &ContainerStatus| {
        let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            state.as_ref().and_then(|state| state.terminated.as_ref()).map(|terminated| terminated.exit_code)
        };
        ended(&status.state).or_else(|| ended(&status.last_state))
    };
    let never_ran = mains().filter(|status| !is_running(status) && exit_code(status).is_none()).count();
    let failed = mains()
        .filter(|status| !is_running(status) && exit_code(status).is_some_and(|code| code != 0))
        .count();

    if stop_wanted(record) && !alive {
        // The pod is over: what has ended decides.
        if is_complete(record) && !init_failed(record) || never_ran == 0 && !record.containers.is_empty() {
            return if failed == 0 { "Succeeded" } else { "Failed" };
        }
        if init_failed(record) || record.pod.is_deleted() || record.removed {
            return "Failed";
        }
    }
    // Waiting between restarts is Running too.
    if !is_initialized(record) || never_ran > 0 { "Pending" } else { "Running" }
}

fn init_failed(record: &PodRecord) -> bool {
    record.pod.containers().filter(|(role, _)| *role == Role::Init).any(|(role, container)| {
        record
            .instance(&container.name)
            .and_then(|instance| instance.exit.as_ref())
            .is_some_and(|exit| exit.code != 0 && !restarts(&record.pod, role, container, exit.code))
    })
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}
