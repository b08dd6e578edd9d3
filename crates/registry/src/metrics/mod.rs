//! The group metrics.k8s.io: what nodes and pods use, of the nodes' own
//! numbers. Read-only and stored nowhere; it stands where upstream installs
//! metrics-server.
//!
//! `samples` reads and compares (pure), `collector` asks the nodes.

mod collector;
mod samples;

use std::sync::Arc;

use apimachinery::quantity::Quantity;
use apimachinery::{Value, meta, structural, value};
use apiserver::{Column, Definition, Scope, Storage, Strategy, Text, Version, View};
use jiff::Timestamp;

use collector::{Collector, NodeMetrics, PodMetrics};

pub const GROUP: &str = "metrics.k8s.io";
pub const VERSION: &str = "v1beta1";

/// Both resources, over one collector.
pub fn definitions() -> [Definition; 2] {
    let collector = Arc::new(Collector::default());
    let nodes = Storage::Virtual(Arc::new(NodeMetrics(collector.clone())));
    let pods = Storage::Virtual(Arc::new(PodMetrics(collector)));
    [
        definition("nodes", "NodeMetrics", Scope::Cluster, nodes),
        definition("pods", "PodMetrics", Scope::Namespaced, pods),
    ]
}

fn definition(resource: &'static str, kind: &'static str, scope: Scope, storage: Storage) -> Definition {
    Definition {
        group: GROUP.into(),
        resource: resource.into(),
        singular: "".into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope,
        verbs: ["get", "list"].map(Text::Borrowed).to_vec(),
        versions: vec![Version {
            name: VERSION.into(),
            schema: None,
            structural: None,
            columns: columns(),
            deprecation: None,
            conversion: None,
        }],
        storage,
        subresources: Vec::new(),
        selectable: Vec::new(),
        ineffective: &[],
        strategy: Arc::new(Usage { kind }),
        since: 0,
    }
}

fn columns() -> Vec<Column> {
    let column = |name: &'static str, format: &'static str, description: &'static str| Column {
        name: name.into(),
        kind: "string".into(),
        format: format.into(),
        description: description.into(),
        priority: 0,
    };
    vec![
        column("Name", "name", "Name of the resource"),
        column("cpu", "quantity", ""),
        column("memory", "quantity", ""),
        column("Window", "duration", ""),
    ]
}

/// What people see of either kind.
struct Usage {
    kind: &'static str,
}

/// The schema of a kind, as a definition of it would have it.
fn schema(kind: &str) -> Value {
    let usage = value!({
        "description": "How much of each resource is used: cpu, memory.",
        "type": "object",
        "additionalProperties": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true
        }
    });
    let mut schema = value!({
        "description": "What is used, over the window that ends at the timestamp.",
        "type": "object",
        "required": ["timestamp", "window"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "timestamp": {"description": "When the window ends.", "type": "string", "format": "date-time"},
            "window": {"description": "How long was measured, such as 15s.", "type": "string"}
        }
    });
    let properties = schema.entry("properties");
    if kind == "NodeMetrics" {
        properties.set("usage", usage);
    } else {
        let mut container = value!({
            "type": "object",
            "required": ["name", "usage"],
            "properties": {"name": {"description": "The container's name in the pod.", "type": "string"}}
        });
        container.entry("properties").set("usage", usage);
        properties.set("containers", value!({"description": "Each container's part.", "type": "array"}));
        properties.entry("containers").set("items", container);
    }
    schema
}

impl Strategy for Usage {
    fn published(&self, _: &View, v2: bool) -> Option<Value> {
        let schema = schema(self.kind);
        Some(if v2 { structural::published_v2(&schema) } else { structural::published_v3(&schema) })
    }

    fn cells(&self, _: &Version, object: &Value, _: Timestamp) -> Vec<Value> {
        let used = |resource: &str| -> String {
            let amount = |usage: &Value| Quantity::parse(usage[resource].text()).unwrap_or(Quantity::ZERO);
            let containers = object["containers"].items().iter();
            let total = containers.fold(amount(&object["usage"]), |sum, one| sum + amount(&one["usage"]));
            total.to_string()
        };
        vec![
            meta::name(object).into(),
            used("cpu").into(),
            used("memory").into(),
            object["window"].text().into(),
        ]
    }
}

/// The role by which admins, editors and viewers see what is used, and the
/// group's entry among the API services, as metrics-server brings them.
pub fn objects() -> [(&'static str, &'static str, Value); 2] {
    let role = value!({
        "kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {
            "name": "system:aggregated-metrics-reader",
            "labels": {
                "rbac.authorization.k8s.io/aggregate-to-admin": "true",
                "rbac.authorization.k8s.io/aggregate-to-edit": "true",
                "rbac.authorization.k8s.io/aggregate-to-view": "true"
            }
        },
        "rules": [{"apiGroups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}]
    });
    let service = value!({
        "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {
            "name": (format!("{VERSION}.{GROUP}")),
            "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        },
        "spec": {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100},
        "status": {"conditions": [{
            "type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available"
        }]}
    });
    [("rbac.authorization.k8s.io", "clusterroles", role), ("apiregistration.k8s.io", "apiservices", service)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_up_containers() {
        let version = &definitions()[1].versions[0];
        let usage = Usage { kind: "PodMetrics" };
        let pod = value!({
            "metadata": {"name": "web"}, "window": "15s",
            "containers": [
                {"name": "a", "usage": {"cpu": "1500000n", "memory": "1Mi"}},
                {"name": "b", "usage": {"cpu": "500000n", "memory": "2Mi"}}
            ]
        });
        let cells = usage.cells(version, &pod, Timestamp::UNIX_EPOCH);
        assert_eq!(cells, ["web", "2m", "3Mi", "15s"].map(Value::from));
        let node =
            value!({"metadata": {"name": "n"}, "window": "1s", "usage": {"cpu": "1", "memory": "1Ki"}});
        let cells = usage.cells(version, &node, Timestamp::UNIX_EPOCH);
        assert_eq!(cells, ["n", "1", "1Ki", "1s"].map(Value::from));
    }
}
