//! What an object uses of a quota, by the names of quota resources.
//!
//! Pure.

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::quantity::{Format, Quantity};

/// Object counts that have names of their own beside `count/…`.
const COUNTED: [&str; 6] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// Group and plural of the resource whose objects use a quota resource; None
/// where it is nobody's that is counted.
pub fn counted(name: &str) -> Option<(&str, &str)> {
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Some((group, plural));
    }
    if name == "requests.storage" || name.contains(".storageclass.storage.k8s.io/") {
        return Some(("", "persistentvolumeclaims"));
    }
    if let Some(plural) = COUNTED.iter().find(|plural| **plural == name) {
        return Some(("", plural));
    }
    let compute = matches!(name, "pods" | "cpu" | "memory" | "ephemeral-storage")
        || ["requests.", "limits.", "hugepages-"].iter().any(|prefix| name.starts_with(prefix));
    match name {
        "services.nodeports" | "services.loadbalancers" => Some(("", "services")),
        _ => compute.then_some(("", "pods")),
    }
}

/// What one object uses.
#[derive(Debug, Default)]
pub struct Usage {
    amounts: BTreeMap<String, Quantity>,
    /// Requests and limits that a container does not say: quota resource and container.
    containers: Vec<(String, BTreeMap<String, Quantity>)>,
    is_pod: bool,
}

fn read(amounts: &Value) -> BTreeMap<String, Quantity> {
    amounts
        .members()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity::parse(amount.text()).ok()?)))
        .collect()
}

fn one() -> Quantity {
    count(1)
}

fn count(number: usize) -> Quantity {
    Quantity::new(i64::try_from(number).unwrap_or(i64::MAX), Format::DecimalSi)
}

impl Usage {
    /// What `object` of the resource uses.
    pub fn of(group: &str, resource: &str, object: &Value) -> Self {
        let mut usage = Usage::default();
        let dot = if group.is_empty() { String::new() } else { format!(".{group}") };
        usage.add(&format!("count/{resource}{dot}"), one());
        if !group.is_empty() {
            return usage;
        }
        if COUNTED.contains(&resource) {
            usage.add(resource, one());
        }
        match resource {
            "pods" => usage.add_pod(object),
            "services" => usage.add_service(object),
            "persistentvolumeclaims" => usage.add_claim(object),
            _ => {}
        }
        usage
    }

    fn add(&mut self, name: &str, amount: Quantity) {
        match self.amounts.get_mut(name) {
            Some(known) => *known += amount,
            None => {
                self.amounts.insert(name.to_owned(), amount);
            }
        }
    }

    fn add_pod(&mut self, pod: &Value) {
        self.is_pod = true;
        // A pod that has ended uses nothing but its place as an object.
        if matches!(pod["status"]["phase"].text(), "Succeeded" | "Failed") {
            return;
        }
        self.add("pods", one());
        for (of, prefix) in [("requests", "requests."), ("limits", "limits.")] {
            for (name, amount) in over_containers(&pod["spec"], of) {
                self.add(&format!("{prefix}{name}"), amount);
                let short =
                    of == "requests" && matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
                if short {
                    self.add(&name, amount);
                }
            }
        }
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].items() {
                let mut said = BTreeMap::new();
                for (of, prefix) in [("requests", "requests."), ("limits", "limits.")] {
                    for (name, amount) in read(&container["resources"][of]) {
                        if of == "requests" {
                            said.insert(name.clone(), amount);
                        }
                        said.insert(format!("{prefix}{name}"), amount);
                    }
                }
                self.containers.push((container["name"].text().to_owned(), said));
            }
        }
    }

    fn add_service(&mut self, service: &Value) {
        let spec = &service["spec"];
        let ports = spec["ports"].items().len();
        match spec["type"].text() {
            "NodePort" => self.add("services.nodeports", count(ports)),
            "LoadBalancer" => {
                self.add("services.loadbalancers", one());
                if spec["allocateLoadBalancerNodePorts"].as_bool() != Some(false) {
                    self.add("services.nodeports", count(ports));
                }
            }
            _ => {}
        }
    }

    fn add_claim(&mut self, claim: &Value) {
        let class = claim["spec"]["storageClassName"].text();
        let storage = Quantity::parse(claim["spec"]["resources"]["requests"]["storage"].text()).ok();
        if let Some(storage) = &storage {
            self.add("requests.storage", *storage);
        }
        if !class.is_empty() {
            self.add(&format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
            if let Some(storage) = storage {
                self.add(&format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage);
            }
        }
    }

    /// How much of a quota resource the object uses.
    pub fn amount(&self, name: &str) -> Option<Quantity> {
        self.amounts.get(name).cloned()
    }

    /// Compute resources that the quota limits and a container leaves open:
    /// `requests.cpu for: a,b`, in upstream's words.
    pub fn unsaid<'a>(&self, limited: impl Iterator<Item = &'a String>) -> Vec<String> {
        if !self.is_pod {
            return Vec::new();
        }
        limited
            .filter(|name| is_compute(name))
            .filter_map(|name| {
                let silent: Vec<&str> = self
                    .containers
                    .iter()
                    .filter(|(_, said)| !said.contains_key(name.as_str()))
                    .map(|(container, _)| container.as_str())
                    .collect();
                (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
            })
            .collect()
    }

    /// Whether a quota with these scopes counts the object.
    pub fn in_scopes(&self, spec: &Value, object: &Value) -> bool {
        let scopes = spec["scopes"].items();
        let selected = spec["scopeSelector"]["matchExpressions"].items();
        if scopes.is_empty() && selected.is_empty() {
            return true;
        }
        if !self.is_pod {
            return false;
        }
        scopes.iter().all(|scope| in_scope(scope.text(), &Value::Null, object))
            && selected.iter().all(|expression| in_scope(expression["scopeName"].text(), expression, object))
    }
}

fn is_compute(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory")
}

fn in_scope(scope: &str, expression: &Value, pod: &Value) -> bool {
    let spec = &pod["spec"];
    let best_effort = pod["status"]["qosClass"].text() == "BestEffort";
    let terminating = !spec["activeDeadlineSeconds"].is_null();
    match scope {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "CrossNamespacePodAffinity" => crosses_namespaces(spec),
        "PriorityClass" => {
            let class = spec["priorityClassName"].text();
            let listed = expression["values"].items().iter().any(|value| value.text() == class);
            match expression["operator"].text() {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

fn crosses_namespaces(spec: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = &spec["affinity"][kind];
        let required = affinity["requiredDuringSchedulingIgnoredDuringExecution"].items().iter();
        let preferred = affinity["preferredDuringSchedulingIgnoredDuringExecution"].items().iter();
        required
            .chain(preferred.map(|term| &term["podAffinityTerm"]))
            .any(|term| !term["namespaces"].items().is_empty() || !term["namespaceSelector"].is_null())
    })
}

/// The sum over containers and sidecars, or what an init container needs at
/// its time if that is more; the pod's own amounts where it has some.
fn over_containers(spec: &Value, of: &str) -> BTreeMap<String, Quantity> {
    let add = |sum: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>| {
        for (name, amount) in more {
            match sum.get_mut(name) {
                Some(known) => *known += *amount,
                None => {
                    sum.insert(name.clone(), *amount);
                }
            }
        }
    };
    let mut sum = BTreeMap::new();
    for container in spec["containers"].items() {
        add(&mut sum, &read(&container["resources"][of]));
    }
    let mut sidecars = BTreeMap::new();
    let mut peak: BTreeMap<String, Quantity> = BTreeMap::new();
    for container in spec["initContainers"].items() {
        let mut need = read(&container["resources"][of]);
        if container["restartPolicy"].text() == "Always" {
            add(&mut sum, &need);
            add(&mut sidecars, &need);
            need = sidecars.clone();
        } else {
            add(&mut need, &sidecars);
        }
        for (name, amount) in need {
            if peak.get(&name).is_none_or(|known| *known < amount) {
                peak.insert(name, amount);
            }
        }
    }
    for (name, amount) in peak {
        if sum.get(&name).is_none_or(|known| *known < amount) {
            sum.insert(name, amount);
        }
    }
    for (name, amount) in read(&spec["resources"][of]) {
        sum.insert(name, amount);
    }
    if of == "requests" {
        add(&mut sum, &read(&spec["overhead"]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(usage: &Usage, name: &str) -> Option<String> {
        usage.amount(name).map(|amount| amount.to_string())
    }

    #[test]
    fn pods_use_requests_and_limits() {
        let pod = value!({"spec": {"containers": [
            {"name": "a", "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}},
            {"name": "b", "resources": {"requests": {"cpu": "250m"}}}
        ]}});
        let usage = Usage::of("", "pods", &pod);
        assert_eq!(told(&usage, "pods").as_deref(), Some("1"));
        assert_eq!(told(&usage, "count/pods").as_deref(), Some("1"));
        assert_eq!(told(&usage, "requests.cpu").as_deref(), Some("750m"));
        assert_eq!(told(&usage, "cpu").as_deref(), Some("750m"));
        assert_eq!(told(&usage, "limits.cpu").as_deref(), Some("1"));
        assert_eq!(usage.unsaid([&"limits.cpu".to_owned()].into_iter()), ["limits.cpu for: b"]);
        let ended = value!({"status": {"phase": "Failed"}, "spec": pod["spec"].clone()});
        assert_eq!(told(&Usage::of("", "pods", &ended), "pods"), None);
    }

    #[test]
    fn services_and_claims_use_their_own() {
        let service = value!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}});
        let usage = Usage::of("", "services", &service);
        assert_eq!(told(&usage, "services.nodeports").as_deref(), Some("2"));
        assert_eq!(told(&usage, "services.loadbalancers").as_deref(), Some("1"));
        let claim =
            value!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "2Gi"}}}});
        let usage = Usage::of("", "persistentvolumeclaims", &claim);
        assert_eq!(told(&usage, "gold.storageclass.storage.k8s.io/requests.storage").as_deref(), Some("2Gi"));
        assert_eq!(
            told(&Usage::of("apps", "deployments", &value!({})), "count/deployments.apps").as_deref(),
            Some("1")
        );
    }

    #[test]
    fn quota_resources_are_used_by_objects_of_a_resource() {
        for (name, expected) in [
            ("pods", Some(("", "pods"))),
            ("requests.nvidia.com/gpu", Some(("", "pods"))),
            ("services.nodeports", Some(("", "services"))),
            ("requests.storage", Some(("", "persistentvolumeclaims"))),
            ("gold.storageclass.storage.k8s.io/requests.storage", Some(("", "persistentvolumeclaims"))),
            ("secrets", Some(("", "secrets"))),
            ("count/deployments.apps", Some(("apps", "deployments"))),
            ("count/pods", Some(("", "pods"))),
            ("example.com/none", None),
        ] {
            assert_eq!(counted(name), expected, "{name}");
        }
    }

    #[test]
    fn scopes_choose_pods() {
        let best = value!({"spec": {}, "status": {"qosClass": "BestEffort"}});
        let usage = Usage::of("", "pods", &best);
        for (spec, counted) in [
            (value!({}), true),
            (value!({"scopes": ["BestEffort"]}), true),
            (value!({"scopes": ["NotBestEffort"]}), false),
            (value!({"scopes": ["BestEffort", "Terminating"]}), false),
            (
                value!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}),
                true,
            ),
        ] {
            assert_eq!(usage.in_scopes(&spec, &best), counted, "{spec:?}");
        }
        let other = Usage::of("", "secrets", &value!({}));
        assert!(!other.in_scopes(&value!({"scopes": ["BestEffort"]}), &value!({})));
    }
}
