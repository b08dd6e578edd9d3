//! Questions about a pod (core/v1).

use apimachinery::Value;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The condition of this type, where there is one.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether the pod's `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// `status.phase`, or "".
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("")
}

/// Whether all containers ended for good (`Succeeded` or `Failed`).
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod is being deleted.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod counts as running or to be run: neither ended nor being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_terminating(pod)
}

/// The node that the pod is bound to, or "".
pub fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("")
}

/// Whether the pod was ready for at least `min_ready_seconds` at `now`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: jiff::Timestamp) -> bool {
    let Some(ready) = condition(pod, "Ready").filter(|condition| condition.status == "True") else {
        return false;
    };
    let since = ready.last_transition_time.as_ref();
    min_ready_seconds <= 0
        || since.is_some_and(|since| now.as_second() - since.0.as_second() >= i64::from(min_ready_seconds))
}

/// Volume sources that name a secret of the pod's namespace as a reference.
const SECRET_SOURCES: [(&str, &str); 8] = [
    ("cephfs", "secretRef"),
    ("cinder", "secretRef"),
    ("flexVolume", "secretRef"),
    ("rbd", "secretRef"),
    ("scaleIO", "secretRef"),
    ("iscsi", "secretRef"),
    ("storageos", "secretRef"),
    ("csi", "nodePublishSecretRef"),
];

/// The containers of a pod's tree: initial ones, ordinary ones, ephemeral ones.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].items())
}

/// What of a kind containers take into their environment: `key` as in
/// `secretKeyRef`, `all` as in `secretRef`.
fn in_environments<'a>(
    pod: &'a Value,
    key: &'static str,
    all: &'static str,
) -> impl Iterator<Item = &'a Value> {
    containers(pod).flat_map(move |container| {
        let single = container["env"].items().iter().map(move |env| &env["valueFrom"][key]);
        single.chain(container["envFrom"].items().iter().map(move |from| &from[all]))
    })
}

/// The names of the secrets that a pod's tree refers to, in its namespace.
pub fn secret_names(pod: &Value) -> impl Iterator<Item = &str> {
    let spec = &pod["spec"];
    let volumes = spec["volumes"].items().iter().flat_map(|volume| {
        let projected = volume["projected"]["sources"].items().iter().map(|source| &source["secret"]["name"]);
        let referred = SECRET_SOURCES.iter().map(|(source, reference)| &volume[*source][*reference]["name"]);
        [&volume["secret"]["secretName"], &volume["azureFile"]["secretName"]]
            .into_iter()
            .chain(projected)
            .chain(referred)
    });
    spec["imagePullSecrets"]
        .items()
        .iter()
        .chain(in_environments(pod, "secretKeyRef", "secretRef"))
        .map(|reference| &reference["name"])
        .chain(volumes)
        .map(Value::text)
        .filter(|name| !name.is_empty())
}

/// The names of the config maps that a pod's tree refers to, in its namespace.
pub fn config_map_names(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].items().iter().flat_map(|volume| {
        let projected = volume["projected"]["sources"].items().iter().map(|source| &source["configMap"]);
        std::iter::once(&volume["configMap"]).chain(projected)
    });
    in_environments(pod, "configMapKeyRef", "configMapRef")
        .chain(volumes)
        .map(|reference| reference["name"].text())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn readiness_is_the_condition() {
        let pod = |status: &str| -> Pod {
            value!({
                "metadata": {"name": "a"},
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
                }
            })
            .decode()
            .unwrap()
        };
        let now: jiff::Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        assert!(is_ready(&pod("True")) && !is_ready(&pod("False")));
        assert!(is_available(&pod("True"), 10, now) && !is_available(&pod("True"), 11, now));
        assert!(!is_available(&pod("False"), 0, now));
        assert!(is_active(&pod("True")) && !is_terminal(&pod("True")) && phase(&pod("True")) == "Running");
        assert_eq!(node_name(&pod("True")), "");
    }

    #[test]
    fn references_are_found_wherever_they_are() {
        let pod = value!({"spec": {
            "imagePullSecrets": [{"name": "pull"}, {}],
            "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}]}],
            "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "map"}}]}],
            "volumes": [
                {"secret": {"secretName": "volume"}},
                {"azureFile": {"secretName": "azure"}},
                {"csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}},
                {"projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "other"}}]}},
                {"configMap": {"name": "whole"}}
            ]
        }});
        let secrets: Vec<&str> = secret_names(&pod).collect();
        assert_eq!(secrets, ["pull", "env", "from", "volume", "azure", "csi", "part"]);
        let maps: Vec<&str> = config_map_names(&pod).collect();
        assert_eq!(maps, ["map", "other", "whole"]);
    }
}
