//! Requests and limits as cgroup values, for containers and whole pods. Pure.

use api::requests::{QosClass, qos_class};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use runtime::Resources;

use crate::pod::spec::{PodExt, Role};
use crate::quantity::{milli, value};

/// Microseconds of the CPU quota's period.
const PERIOD: u64 = 100_000;
const LEAST_SHARES: u64 = 2;
const MOST_SHARES: u64 = 262_144;
/// The kernel does not take a smaller quota.
const LEAST_QUOTA: i64 = 1000;

/// cgroup v1 shares for a request in milli-CPU.
pub fn shares(milli: i64) -> u64 {
    (milli.max(0) as u64 * 1024 / 1000).clamp(LEAST_SHARES, MOST_SHARES)
}

fn quota(milli: i64) -> i64 {
    milli.saturating_mul(PERIOD as i64 / 1000).max(LEAST_QUOTA)
}

fn request(resources: Option<&ResourceRequirements>, name: &str) -> Option<i64> {
    let number = if name == "cpu" { milli } else { value };
    let resources = resources?;
    let of = |list: &Option<std::collections::BTreeMap<String, _>>| {
        list.as_ref().and_then(|list| list.get(name)).map(number)
    };
    of(&resources.requests).or_else(|| of(&resources.limits))
}

fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<i64> {
    let number = if name == "cpu" { milli } else { value };
    resources?.limits.as_ref()?.get(name).map(number).filter(|limit| *limit > 0)
}

/// Values of one container's cgroup. `capacity` is the node's memory in bytes.
pub fn of_container(pod: &Pod, container: &Container, capacity: i64) -> Resources {
    let own = container.resources.as_ref();
    let cpu_limit = limit(own, "cpu");
    let hugepages =
        own.and_then(|one| one.limits.as_ref()).into_iter().flatten().filter_map(|(name, quantity)| {
            let size = name.strip_prefix("hugepages-")?;
            // The kernel says `2MB` where Kubernetes says `2Mi`.
            Some((size.replace('i', "B"), u64::try_from(value(quantity)).ok()?))
        });
    Resources {
        cpu_shares: Some(shares(request(own, "cpu").unwrap_or(0))),
        cpu_quota: cpu_limit.map(quota),
        cpu_period: cpu_limit.map(|_| PERIOD),
        memory_limit: limit(own, "memory"),
        hugepages: hugepages.collect(),
        oom_score_adj: Some(oom_score_adj(pod, container, capacity)),
        ..Resources::default()
    }
}

/// Values of the pod's cgroup: limits only where every container has one.
pub fn of_pod(pod: &Pod) -> Resources {
    let spec = pod.spec();
    let whole = spec.resources.as_ref();
    let cpu = limit(whole, "cpu").or_else(|| sum_limits(pod, "cpu"));
    let memory = limit(whole, "memory").or_else(|| sum_limits(pod, "memory"));
    let requested = request(whole, "cpu").unwrap_or_else(|| requested(pod, "cpu"));
    Resources {
        cpu_shares: Some(shares(requested)),
        cpu_quota: cpu.map(quota),
        cpu_period: cpu.map(|_| PERIOD),
        memory_limit: memory,
        ..Resources::default()
    }
}

/// What the pod takes of the node: main containers and sidecars together, or
/// an init container with the sidecars before it, whichever is more; and overhead.
pub fn requested(pod: &Pod, name: &str) -> i64 {
    let (mut sidecars, mut largest_init, mut mains) = (0, 0, 0);
    for (role, container) in pod.containers() {
        let own = request(container.resources.as_ref(), name).unwrap_or(0);
        match role {
            Role::Sidecar => {
                sidecars += own;
                largest_init = largest_init.max(sidecars);
            }
            Role::Init => largest_init = largest_init.max(sidecars + own),
            Role::Main => mains += own,
            Role::Ephemeral => {}
        }
    }
    let number = if name == "cpu" { milli } else { value };
    let overhead = pod.spec().overhead.as_ref().and_then(|list| list.get(name)).map_or(0, number);
    let whole = request(pod.spec().resources.as_ref(), name);
    whole.unwrap_or_else(|| (mains + sidecars).max(largest_init)) + overhead
}

fn sum_limits(pod: &Pod, name: &str) -> Option<i64> {
    let (mut total, mut largest_init) = (0, 0);
    for (role, container) in pod.containers() {
        let own = limit(container.resources.as_ref(), name)?;
        match role {
            Role::Init => largest_init = largest_init.max(own),
            _ => total += own,
        }
    }
    Some(total.max(largest_init)).filter(|total| *total > 0)
}

/// How readily the kernel kills the container when memory runs out.
fn oom_score_adj(pod: &Pod, container: &Container, capacity: i64) -> i32 {
    let critical = pod.spec().priority.is_some_and(|priority| priority >= 2_000_000_000);
    if critical {
        return -997;
    }
    match qos_class(pod.spec()) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let requested = request(container.resources.as_ref(), "memory").unwrap_or(0);
            let share = i128::from(requested) * 1000 / i128::from(capacity.max(1));
            (1000 - share).clamp(3, 999) as i32
        }
    }
}

const BURSTABLE: &str = "/burstable";
const BEST_EFFORT: &str = "/besteffort";

/// The pod's cgroup below `root`.
pub fn cgroup(root: &str, pod: &Pod) -> String {
    let class = match qos_class(pod.spec()) {
        QosClass::Guaranteed => "",
        QosClass::Burstable => BURSTABLE,
        QosClass::BestEffort => BEST_EFFORT,
    };
    format!("{root}{class}/pod{}", pod.uid())
}

/// The cgroups in which pods' are, inner ones first.
pub fn cgroups_of_pods(root: &str) -> [String; 3] {
    [BURSTABLE, BEST_EFFORT, ""].map(|class| format!("{root}{class}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec})).unwrap()
    }

    #[test]
    fn values_of_containers_and_pods() {
        let pod = pod(json!({"containers": [
            {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "500m", "memory": "200Mi"}}},
            {"name": "b", "resources": {"limits": {"cpu": "5m", "memory": "1Mi"}}},
        ]}));
        let containers = &pod.spec.as_ref().unwrap().containers;
        let a = of_container(&pod, &containers[0], 1000 << 20);
        assert_eq!((a.cpu_shares, a.cpu_quota, a.cpu_period), (Some(102), Some(50_000), Some(100_000)));
        assert_eq!((a.memory_limit, a.oom_score_adj), (Some(200 << 20), Some(900)));
        let b = of_container(&pod, &containers[1], 1000 << 20);
        assert_eq!((b.cpu_shares, b.cpu_quota), (Some(5), Some(1000)));
        let whole = of_pod(&pod);
        assert_eq!((whole.cpu_shares, whole.cpu_quota), (Some(107), Some(50_500)));
        assert_eq!(whole.memory_limit, Some(201 << 20));
        assert_eq!(cgroup("/corten/pods", &pod), "/corten/pods/burstable/podu");
    }

    #[test]
    fn one_container_without_limit_leaves_the_pod_open() {
        let pod =
            pod(json!({"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}]}));
        let whole = of_pod(&pod);
        assert_eq!((whole.cpu_quota, whole.memory_limit), (None, None));
        let a = of_container(&pod, &pod.spec.as_ref().unwrap().containers[0], 1 << 30);
        assert_eq!((a.cpu_shares, a.oom_score_adj), (Some(2), Some(999)));
    }

    #[test]
    fn requests_count_init_containers_and_sidecars() {
        let pod = pod(json!({
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "i", "resources": {"requests": {"cpu": "1"}}},
            ],
            "containers": [{"name": "m", "resources": {"requests": {"cpu": "300m"}}}],
            "overhead": {"cpu": "10m"},
        }));
        assert_eq!(requested(&pod, "cpu"), 1110);
        assert_eq!(requested(&pod, "memory"), 0);
    }
}
