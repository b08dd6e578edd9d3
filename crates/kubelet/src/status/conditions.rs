//! The conditions that the kubelet owns: PodReadyToStartContainers,
//! Initialized, Ready and ContainersReady.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pod::record::PodRecord;
use crate::pod::spec::{PodExt, Role};
use crate::pod::state::is_initialized;

/// A condition before its times are known.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes(kind: &'static str) -> Self {
        Self { kind, holds: true, reason: "", message: String::new() }
    }

    fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }
}

pub fn conditions(
    record: &PodRecord,
    containers: &[(Role, ContainerStatus)],
    phase: &str,
    now: Timestamp,
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(containers, phase);
    let verdicts = [
        match record.sandbox.is_ready() {
            true => Verdict::yes("PodReadyToStartContainers"),
            false => Verdict::no("PodReadyToStartContainers", "", ""),
        },
        initialized(record, containers, phase),
        ready(record, &containers_ready),
        containers_ready,
    ];
    let known = record.pod.status().conditions.as_deref().unwrap_or_default();
    let dated = |verdict: Verdict| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let status = if verdict.holds { "True" } else { "False" };
        let before = known.iter().find(|one| one.type_ == verdict.kind && one.status == status);
        PodCondition {
            type_: verdict.kind.into(),
            status: status.into(),
            reason: some(verdict.reason),
            message: some(&verdict.message),
            last_transition_time: before.and_then(|one| one.last_transition_time.clone()).or(Some(Time(now))),
            observed_generation: record.pod.metadata.generation,
            last_probe_time: None,
        }
    };
    verdicts.into_iter().map(dated).collect()
}

/// `[a b]`, as Go prints a list.
fn go_list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn initialized(record: &PodRecord, containers: &[(Role, ContainerStatus)], phase: &str) -> Verdict {
    let kind = "Initialized";
    if phase == "Succeeded" {
        return Verdict { reason: "PodCompleted", ..Verdict::yes(kind) };
    }
    if is_initialized(record) {
        return Verdict::yes(kind);
    }
    let incomplete: Vec<_> = containers
        .iter()
        .filter(|(role, status)| match role {
            Role::Init => !status.ready,
            Role::Sidecar => status.started != Some(true),
            _ => false,
        })
        .map(|(_, status)| status.name.as_str())
        .collect();
    let message = format!("containers with incomplete status: {}", go_list(&incomplete));
    Verdict::no(kind, "ContainersNotInitialized", message)
}

fn containers_ready(containers: &[(Role, ContainerStatus)], phase: &str) -> Verdict {
    let kind = "ContainersReady";
    match phase {
        "Succeeded" => return Verdict::no(kind, "PodCompleted", ""),
        "Failed" => return Verdict::no(kind, "PodFailed", ""),
        _ => {}
    }
    let unready: Vec<_> = containers
        .iter()
        .filter(|(role, status)| matches!(role, Role::Main | Role::Sidecar) && !status.ready)
        .map(|(_, status)| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return Verdict::yes(kind);
    }
    Verdict::no(kind, "ContainersNotReady", format!("containers with unready status: {}", go_list(&unready)))
}

fn ready(record: &PodRecord, containers_ready: &Verdict) -> Verdict {
    if !containers_ready.holds {
        return Verdict::no("Ready", containers_ready.reason, containers_ready.message.clone());
    }
    let conditions = record.pod.status().conditions.as_deref().unwrap_or_default();
    let missing: Vec<String> = record
        .pod
        .spec()
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match conditions.iter().find(|one| one.type_ == *name) {
                None => {
                    Some(format!("corresponding condition of pod readiness gate {name:?} does not exist."))
                }
                Some(one) if one.status != "True" => Some(format!(
                    "the status of pod readiness gate {name:?} is not \"True\", but {}",
                    one.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    match missing.is_empty() {
        true => Verdict::yes("Ready"),
        false => Verdict::no("Ready", "ReadinessGatesNotReady", missing.join(", ")),
    }
}
