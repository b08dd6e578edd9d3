//! `status` of a Pod, as a function of what is known of it. Pure.

mod conditions;
mod containers;
mod patch;
mod phase;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use api::requests::qos_class;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use patch::patch;

use crate::pod::record::{PodRecord, Verdict};
use crate::pod::spec::{PodExt, Role};

/// The scheme of `containerID`.
pub const SCHEME: &str = "corten";

/// The whole status that the kubelet wants the API to have. Conditions hold
/// only those that the kubelet owns.
pub fn status(record: &PodRecord, node: &[IpAddr], now: Timestamp) -> PodStatus {
    let containers = containers::statuses(record, now);
    let phase = phase::phase(record, &containers);
    let verdict = verdict(record, phase);
    let host_ip = node.first().map(ToString::to_string);
    let addresses: &[IpAddr] = match record.pod.is_host_network() && record.rejected.is_none() {
        true => node,
        false => &record.addresses,
    };
    let of_role = |role: fn(Role) -> bool| {
        let list: Vec<_> =
            containers.iter().filter(|(one, _)| role(*one)).map(|(_, status)| status.clone()).collect();
        Some(list).filter(|list| !list.is_empty())
    };
    let mut status = PodStatus {
        phase: Some(phase.into()),
        reason: verdict.map(|verdict| verdict.reason.clone()),
        message: verdict.map(|verdict| verdict.message.clone()),
        start_time: Some(Time(record.started)),
        qos_class: Some(qos_class(record.pod.spec()).as_str().into()),
        observed_generation: record.pod.metadata.generation,
        ..PodStatus::default()
    };
    if record.rejected.is_some() {
        return status;
    }
    status.init_container_statuses = of_role(|role| matches!(role, Role::Init | Role::Sidecar));
    status.container_statuses = of_role(|role| role == Role::Main);
    status.ephemeral_container_statuses = of_role(|role| role == Role::Ephemeral);
    status.host_ip = host_ip;
    status.host_ips = Some(node.iter().map(|ip| HostIP { ip: ip.to_string() }).collect());
    status.pod_ip = addresses.first().map(ToString::to_string);
    status.pod_ips = Some(addresses.iter().map(|ip| PodIP { ip: ip.to_string() }).collect::<Vec<_>>())
        .filter(|list| !list.is_empty());
    status.conditions = Some(conditions::conditions(record, &containers, phase, now));
    status
}

fn verdict<'a>(record: &'a PodRecord, phase: &str) -> Option<&'a Verdict> {
    record.rejected.as_ref().or(record.ended.as_ref().filter(|_| phase == "Failed"))
}

/// Whether the status tells that everything has ended: after it was written,
/// the object may be deleted.
pub fn is_final(record: &PodRecord) -> bool {
    let starting =
        record.in_flight.keys().any(|operation| matches!(operation, crate::pod::record::Operation::Start(_)));
    !starting && record.alive().next().is_none()
}
