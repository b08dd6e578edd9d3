//! The downward API: fields of the pod and resources of its containers, for
//! environments and files. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use apimachinery::field::quote;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::pod::spec::PodExt;
use crate::quantity::{milli, value};

/// What a field may say beside the pod's own object.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub pod_ips: Vec<IpAddr>,
    pub host_ips: Vec<IpAddr>,
    /// Stands in for limits that a container does not have.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// The value of `fieldRef.fieldPath`.
pub fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, String> {
    let join = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let first = |ips: &[IpAddr]| ips.first().map(ToString::to_string).unwrap_or_default();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => pod.name().into(),
        "metadata.namespace" => pod.namespace().into(),
        "metadata.uid" => pod.uid().into(),
        "metadata.labels" => format_map(pod.metadata.labels.as_ref()),
        "metadata.annotations" => format_map(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => pod.spec().node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => pod.spec().service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => join(&facts.host_ips),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => join(&facts.pod_ips),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `metadata.labels['key']` as its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, key))
}

/// A map as a file shows it: `key="value"` in lines.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of `resourceFieldRef`; `own` is the container that it stands in.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    facts: &Facts,
    selector: &ResourceFieldSelector,
) -> Result<String, String> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        None => Cow::Borrowed(own.ok_or("a resourceFieldRef of a volume needs a containerName")?),
        Some(name) => {
            pod.container(name).map(|(_, one)| one).ok_or_else(|| format!("container {name} not found"))?
        }
    };
    let (list, name) = selector
        .resource
        .split_once('.')
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let resources = container.resources.as_ref();
    let quantity = match list {
        "limits" => resources
            .and_then(|one| one.limits.as_ref())
            .and_then(|limits| limits.get(name))
            .filter(|limit| value(limit) > 0)
            .or_else(|| facts.allocatable.get(name)),
        "requests" => resources.and_then(|one| one.requests.as_ref()).and_then(|requests| requests.get(name)),
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let Some(quantity) = quantity else { return Ok("0".into()) };
    let divisor = selector.divisor.as_ref();
    let number = if name == "cpu" {
        let divisor = divisor.map(milli).filter(|divisor| *divisor > 0).unwrap_or(1000);
        rounded_up(milli(quantity), divisor)
    } else {
        let divisor = divisor.map(value).filter(|divisor| *divisor > 0).unwrap_or(1);
        rounded_up(value(quantity), divisor)
    };
    Ok(number.to_string())
}

fn rounded_up(number: i64, divisor: i64) -> i64 {
    number.saturating_add(divisor - 1) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u",
                "labels": {"a": "1", "b": "say \"hi\"\n"}, "annotations": {"example.com/x": "y"}},
            "spec": {"nodeName": "n", "serviceAccountName": "sa", "containers": [{"name": "c", "resources": {
                "requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1500m"}}}]},
        }))
        .unwrap()
    }

    #[test]
    fn fields_of_the_pod() {
        let facts = Facts {
            pod_ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            host_ips: vec!["192.0.2.1".parse().unwrap()],
            allocatable: BTreeMap::new(),
        };
        let rows = [
            ("metadata.name", "p"),
            ("metadata.labels['a']", "1"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['example.com/x']", "y"),
            ("metadata.labels", "a=\"1\"\nb=\"say \\\"hi\\\"\\n\""),
            ("spec.nodeName", "n"),
            ("spec.serviceAccountName", "sa"),
            ("status.podIP", "10.0.0.1"),
            ("status.podIPs", "10.0.0.1,fd00::1"),
            ("status.hostIP", "192.0.2.1"),
        ];
        for (path, expected) in rows {
            assert_eq!(field(&pod(), &facts, path).unwrap(), expected, "{path}");
        }
        assert!(field(&pod(), &facts, "spec.containers").is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let facts =
            Facts { allocatable: [("memory".to_owned(), Quantity("1Gi".into()))].into(), ..Facts::default() };
        let rows = [
            (json!({"resource": "limits.cpu"}), "2"),
            (json!({"resource": "limits.cpu", "divisor": "1m"}), "1500"),
            (json!({"resource": "requests.cpu"}), "1"),
            (json!({"resource": "requests.memory", "divisor": "1Mi"}), "64"),
            (json!({"resource": "limits.memory"}), "1073741824"),
            (json!({"resource": "requests.ephemeral-storage"}), "0"),
        ];
        let pod = pod();
        let own = &pod.spec.as_ref().unwrap().containers[0];
        for (selector, expected) in rows {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(resource(&pod, Some(own), &facts, &parsed).unwrap(), expected, "{selector}");
        }
    }
}
