//! Conditional defaults of pods and pod templates.
//!
//! What is always the same (probe periods, DNS policy, …) lies in the table of
//! the facts; here is what depends on something else in the object. Runs
//! before that table, so that a default of here wins.

use std::collections::HashSet;

use apimachinery::quantity::Quantity;
use apimachinery::schema::round_up;
use apimachinery::{Value, value};

use crate::changes::{items, sort};

use super::image;

/// Lists of containers in a pod spec.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of `pod.spec` that templates do not get (v1 SetDefaults_Pod), then
/// those that both get.
pub fn pod(pod: &mut Value) {
    let spec = pod.entry("spec");
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec.set("terminationGracePeriodSeconds", 1);
    }
    if spec["hostNetwork"].is_true() {
        for list in ["initContainers", "containers"] {
            expose_on_host(items(spec, list));
        }
    }
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            round_resources(container.get_mut("resources"));
            request_limits(container);
        }
    }
    pod_spec(spec);
}

/// Defaults of `template.spec` (v1 SetDefaults_PodSpec and what lies below it).
pub fn template(template: &mut Value) {
    if template.as_object().is_some() {
        pod_spec(template.entry("spec"));
    }
}

fn round_resources(resources: Option<&mut Value>) {
    let Some(resources) = resources else { return };
    for field in ["limits", "requests"] {
        if let Some(amounts) = resources.get_mut(field) {
            round_up(amounts);
        }
    }
}

fn pod_spec(spec: &mut Value) {
    round_resources(spec.get_mut("resources"));
    if let Some(overhead) = spec.get_mut("overhead") {
        round_up(overhead);
    }
    for list in CONTAINERS {
        for container in items(spec, list) {
            round_resources(container.get_mut("resources"));
            if container["imagePullPolicy"].text().is_empty() {
                let policy = image::pull_policy(container["image"].text());
                container.set("imagePullPolicy", policy);
            }
        }
    }
    for volume in items(spec, "volumes") {
        default_volume(volume);
    }
    if spec["securityContext"].is_null() {
        spec.set("securityContext", Value::object());
    }
    share_service_account_name(spec);
}

/// `serviceAccount` is the older name of `serviceAccountName`; both are always the same.
fn share_service_account_name(spec: &mut Value) {
    let name = match spec["serviceAccountName"].text() {
        "" => spec["serviceAccount"].text(),
        name => name,
    }
    .to_owned();
    if !name.is_empty() {
        spec.set("serviceAccountName", name.as_str());
        spec.set("serviceAccount", name);
    }
}

/// A volume without a source is an emptyDir; an image volume pulls by its tag.
fn default_volume(volume: &mut Value) {
    let sourced = volume.members().any(|(name, source)| name != "name" && !source.is_null());
    if !sourced {
        volume.set("emptyDir", Value::object());
    }
    if let Some(image) = volume.get_mut("image")
        && image.as_object().is_some()
        && image["pullPolicy"].text().is_empty()
    {
        let policy = image::pull_policy(image["reference"].text());
        image.set("pullPolicy", policy);
    }
}

/// On the host's network a container's port is the host's port.
fn expose_on_host(containers: &mut [Value]) {
    for container in containers {
        for port in items(container, "ports") {
            if port["hostPort"].as_i64().unwrap_or(0) == 0
                && let Some(number) = port["containerPort"].as_i64()
            {
                port.set("hostPort", number);
            }
        }
    }
}

/// What is limited and not requested is requested as much as it is limited.
fn request_limits(container: &mut Value) {
    let resources = &container["resources"];
    let requested: HashSet<&str> = resources["requests"]
        .members()
        .filter(|(_, amount)| !amount.is_null())
        .map(|(name, _)| name)
        .collect();
    let missing: Vec<(String, Value)> = resources["limits"]
        .members()
        .filter(|(name, _)| !requested.contains(name))
        .map(|(name, limit)| (name.to_owned(), limit.clone()))
        .collect();
    if missing.is_empty() {
        return;
    }
    let requests = container.entry("resources").entry("requests");
    if let Value::Object(requests) = requests {
        requests.raw_mut().retain(|(_, amount)| !amount.is_null());
    } else {
        *requests = Value::object();
    }
    if let Value::Object(requests) = requests {
        missing.into_iter().for_each(|(name, limit)| requests.push_new(name, limit));
    }
    sort(requests);
}

/// The quality of service class by requests and limits (v1 PodQOSClass).
pub fn qos_class(spec: &Value) -> &'static str {
    let pod_level = &spec["resources"];
    let of_pods = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let has_own =
        ["requests", "limits"].iter().any(|field| pod_level[*field].members().any(|(name, _)| of_pods(name)));
    let holders: Vec<&Value> = if has_own {
        vec![pod_level]
    } else {
        ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| spec[list].items())
            .map(|container| &container["resources"])
            .collect()
    };
    let mut requests: Vec<(&str, Quantity)> = Vec::new();
    let mut limits: Vec<(&str, Quantity)> = Vec::new();
    let mut guaranteed = true;
    for resources in holders {
        collect(&resources["requests"], &mut requests);
        let limited = collect(&resources["limits"], &mut limits);
        guaranteed &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    let same = requests.len() == limits.len()
        && requests
            .iter()
            .all(|(name, amount)| limits.iter().any(|(limited, limit)| limited == name && limit == amount));
    if guaranteed && same { "Guaranteed" } else { "Burstable" }
}

/// Adds up cpu and memory; gives how many of the two were more than nothing.
fn collect<'a>(amounts: &'a Value, into: &mut Vec<(&'a str, Quantity)>) -> usize {
    let mut found = 0;
    for (name, amount) in amounts.members().filter(|(name, _)| matches!(*name, "cpu" | "memory")) {
        let Ok(amount) = Quantity::parse(amount.text()) else { continue };
        if amount.is_zero() || amount.is_negative() {
            continue;
        }
        found += 1;
        match into.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += amount,
            None => into.push((name, amount)),
        }
    }
    found
}

/// The first status of a pod.
pub fn first_status(spec: &Value, now: &str) -> Value {
    let mut status = value!({"phase": "Pending", "qosClass": qos_class(spec)});
    if !spec["schedulingGates"].items().is_empty() {
        status.set(
            "conditions",
            value!([{
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": null,
                "lastTransitionTime": now,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates"
            }]),
        );
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(resources: Value) -> Value {
        value!({"spec": {"containers": [{"name": "c", "image": "a:1", "resources": resources}]}})
    }

    #[test]
    fn limits_become_requests_where_there_are_none() {
        let mut made = with(value!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}));
        pod(&mut made);
        assert_eq!(
            made["spec"]["containers"][0]["resources"]["requests"],
            value!({"cpu": "1", "memory": "1Gi"})
        );
    }

    #[test]
    fn a_template_keeps_its_requests() {
        let mut made = with(value!({"limits": {"cpu": "2"}}));
        template(&mut made);
        assert!(made["spec"]["containers"][0]["resources"]["requests"].is_null());
        assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"].text(), "IfNotPresent");
        assert!(made["spec"]["securityContext"].as_object().is_some());
    }

    #[test]
    fn classes_follow_requests_and_limits() {
        for (resources, class) in [
            (value!({}), "BestEffort"),
            (value!({"requests": {"cpu": "0"}}), "BestEffort"),
            (value!({"requests": {"cpu": "1"}}), "Burstable"),
            (value!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}), "Burstable"),
            (
                value!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}}),
                "Guaranteed",
            ),
            (
                value!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
                "Burstable",
            ),
        ] {
            assert_eq!(qos_class(&with(resources.clone())["spec"]), class, "{resources:?}");
        }
    }

    #[test]
    fn one_container_without_limits_makes_the_pod_burstable() {
        let full =
            value!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
        let spec = value!({"containers": [{"resources": full.clone()}, {"resources": {}}]});
        assert_eq!(qos_class(&spec), "Burstable");
        let spec = value!({"containers": [{"resources": {}}], "resources": full});
        assert_eq!(qos_class(&spec), "Guaranteed");
    }

    #[test]
    fn ports_of_the_host_network_are_the_hosts() {
        let mut made = value!({"spec": {
            "hostNetwork": true,
            "containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8}]}]
        }});
        pod(&mut made);
        let ports = &made["spec"]["containers"][0]["ports"];
        assert_eq!((ports[0]["hostPort"].as_i64(), ports[1]["hostPort"].as_i64()), (Some(80), Some(8)));
    }

    #[test]
    fn a_volume_without_a_source_is_empty() {
        let mut made = value!({"spec": {"containers": [], "volumes": [
            {"name": "a"}, {"name": "b", "hostPath": {"path": "/x"}}, {"name": "c", "image": {"reference": "i"}}
        ]}});
        pod(&mut made);
        let volumes = &made["spec"]["volumes"];
        assert!(volumes[0]["emptyDir"].as_object().is_some());
        assert!(volumes[1]["emptyDir"].is_null());
        assert_eq!(volumes[2]["image"]["pullPolicy"].text(), "Always");
    }

    #[test]
    fn the_older_name_of_the_service_account_counts() {
        let mut made = value!({"spec": {"containers": [], "serviceAccount": "app"}});
        pod(&mut made);
        assert_eq!(made["spec"]["serviceAccountName"].text(), "app");
    }

    #[test]
    fn amounts_are_kept_in_thousandths() {
        let mut made =
            with(value!({"limits": {"cpu": "100u", "memory": "1.5Gi"}, "requests": {"cpu": "0.0001"}}));
        pod(&mut made);
        let resources = &made["spec"]["containers"][0]["resources"];
        assert_eq!(resources["limits"], value!({"cpu": "1m", "memory": "1.5Gi"}));
        assert_eq!(resources["requests"]["cpu"].text(), "1m");
    }
}
