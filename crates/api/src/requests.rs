//! What a pod asks for: requests and limits over its containers, and its
//! quality of service (KEP-753 for sidecars, core/v1).

use std::collections::BTreeMap;

use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Amounts by resource name, such as `cpu`.
pub type Resources = BTreeMap<String, Quantity>;

/// Quality of service classes (`status.qosClass`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// The pod's requests: the larger of what its running containers need together
/// and what its init containers need on the way, plus overhead.
pub fn pod_requests(spec: &PodSpec) -> Resources {
    total(spec, |resources| resources.requests.as_ref(), true)
}

/// The pod's limits, computed as its requests. Overhead is added only to what
/// is limited.
pub fn pod_limits(spec: &PodSpec) -> Resources {
    total(spec, |resources| resources.limits.as_ref(), false)
}

type Pick = fn(&ResourceRequirements) -> Option<&BTreeMap<String, Text>>;

fn total(spec: &PodSpec, pick: Pick, overhead_alone: bool) -> Resources {
    let mut all = Resources::new();
    for container in &spec.containers {
        add(&mut all, &of_container(container, pick));
    }
    // Sidecars started so far run beside every later init container.
    let mut sidecars = Resources::new();
    let mut on_the_way = Resources::new();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container, pick);
        if is_sidecar(container) {
            add(&mut all, &own);
            add(&mut sidecars, &own);
            raise(&mut on_the_way, &sidecars);
        } else {
            let mut together = sidecars.clone();
            add(&mut together, &own);
            raise(&mut on_the_way, &together);
        }
    }
    raise(&mut all, &on_the_way);
    // Resources of the pod itself go before those of its containers.
    if let Some(own) = spec.resources.as_ref().and_then(pick) {
        for (name, amount) in own {
            all.insert(name.clone(), read(amount));
        }
    }
    for (name, amount) in spec.overhead.iter().flatten() {
        match all.get_mut(name) {
            Some(present) => *present += read(amount),
            None if overhead_alone => drop(all.insert(name.clone(), read(amount))),
            None => {}
        }
    }
    all
}

/// Whether an init container keeps running beside the others (`restartPolicy: Always`).
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn of_container(container: &Container, pick: Pick) -> Resources {
    let amounts = container.resources.as_ref().and_then(pick);
    amounts.into_iter().flatten().map(|(name, amount)| (name.clone(), read(amount))).collect()
}

/// A stored quantity; what is none counts as zero, since validation keeps it out.
fn read(text: &Text) -> Quantity {
    Quantity::parse(&text.0).unwrap_or(Quantity::ZERO)
}

fn add(sum: &mut Resources, other: &Resources) {
    for (name, amount) in other {
        *sum.entry(name.clone()).or_insert(Quantity::ZERO) += *amount;
    }
}

fn raise(least: &mut Resources, other: &Resources) {
    for (name, amount) in other {
        let present = least.entry(name.clone()).or_insert(*amount);
        if *present < *amount {
            *present = *amount;
        }
    }
}

/// The class that a pod's CPU and memory put it in.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let own = spec.resources.as_ref();
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let parts: Vec<Option<&ResourceRequirements>> = match own {
        Some(own) if own.requests.is_some() || own.limits.is_some() => vec![Some(own)],
        _ => containers.map(|container| container.resources.as_ref()).collect(),
    };
    let positive = |amounts: Option<&BTreeMap<String, Text>>, name: &str| {
        amounts.and_then(|amounts| amounts.get(name)).map(read).filter(|amount| *amount > Quantity::ZERO)
    };
    let mut any = false;
    let mut guaranteed = true;
    let mut sums: BTreeMap<&str, (Quantity, Quantity)> = BTreeMap::new();
    for part in parts {
        for name in ["cpu", "memory"] {
            let request = positive(part.and_then(|part| part.requests.as_ref()), name);
            let limit = positive(part.and_then(|part| part.limits.as_ref()), name);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some();
            let sum = sums.entry(name).or_insert((Quantity::ZERO, Quantity::ZERO));
            sum.0 += request.unwrap_or(Quantity::ZERO);
            sum.1 += limit.unwrap_or(Quantity::ZERO);
        }
    }
    match any {
        false => QosClass::BestEffort,
        true if guaranteed && sums.values().all(|(requests, limits)| requests == limits) => {
            QosClass::Guaranteed
        }
        true => QosClass::Burstable,
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn spec(tree: apimachinery::Value) -> PodSpec {
        tree.decode().unwrap()
    }

    fn shown(resources: &Resources) -> Vec<String> {
        resources.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn init_containers_and_sidecars_count_by_their_order() {
        let spec = spec(value!({
            "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}},
                {"name": "b", "resources": {"requests": {"cpu": "200m"}}}
            ],
            "initContainers": [
                {"name": "one", "resources": {"requests": {"cpu": "1"}}},
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
                {"name": "two", "resources": {"requests": {"cpu": "700m"}}}
            ],
            "overhead": {"cpu": "10m", "memory": "1Mi"}
        }));
        assert_eq!(shown(&pod_requests(&spec)), ["cpu=1210m", "memory=1025Mi"]);
        assert_eq!(shown(&pod_limits(&spec)), Vec::<String>::new());
    }

    #[test]
    fn classes_follow_cpu_and_memory() {
        let guaranteed =
            value!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}});
        let cases = [
            (value!({"containers": [{"name": "a"}]}), QosClass::BestEffort),
            (
                value!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]}),
                QosClass::Burstable,
            ),
            (value!({"containers": [{"name": "a", "resources": guaranteed.clone()}]}), QosClass::Guaranteed),
            (
                value!({"containers": [{"name": "a", "resources": guaranteed}, {"name": "b"}]}),
                QosClass::Burstable,
            ),
            (
                value!({"containers": [{"name": "a", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]}),
                QosClass::BestEffort,
            ),
            (
                value!({
                    "initContainers": [{"name": "i"}],
                    "containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "1", "memory": "1Gi"}}}]
                }),
                QosClass::Burstable,
            ),
        ];
        for (tree, class) in cases {
            assert_eq!(qos_class(&spec(tree)), class);
        }
    }
}
