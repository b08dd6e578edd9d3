//! The quality of service class of a pod.

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use crate::quantity::{milli, value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

/// By CPU and memory of all containers, init containers too; resources of the
/// pod as a whole count before them (KEP-2837).
pub fn qos_class(spec: &PodSpec) -> QosClass {
    if let Some(resources) = spec.resources.as_ref().filter(|resources| asks(resources)) {
        return if is_guaranteed(resources) { QosClass::Guaranteed } else { QosClass::Burstable };
    }
    let none = ResourceRequirements::default();
    let all: Vec<&ResourceRequirements> = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .map(|container| container.resources.as_ref().unwrap_or(&none))
        .collect();
    if !all.iter().any(|resources| asks(resources)) {
        QosClass::BestEffort
    } else if all.iter().all(|resources| is_guaranteed(resources)) {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

fn asks(resources: &ResourceRequirements) -> bool {
    let lists = [&resources.requests, &resources.limits];
    lists.into_iter().flatten().any(|list| {
        list.get("cpu").is_some_and(|cpu| milli(cpu) > 0)
            || list.get("memory").is_some_and(|memory| value(memory) > 0)
    })
}

fn is_guaranteed(resources: &ResourceRequirements) -> bool {
    ["cpu", "memory"].into_iter().all(|name| {
        let limit = resources.limits.as_ref().and_then(|list| list.get(name)).map(milli);
        let request = resources.requests.as_ref().and_then(|list| list.get(name)).map(milli).or(limit);
        limit.is_some_and(|limit| limit > 0) && request == limit
    })
}
