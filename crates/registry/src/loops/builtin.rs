//! Built-in objects of the facts: roles and bindings, flow control, priority
//! classes, API services.

use std::sync::Arc;

use api::facts;
use apimachinery::{Value, meta, time};
use apiserver::{Companion, OWN_MANAGER, View};
use auth::rbac::Rule;
use jiff::Timestamp;

use super::{create_missing, ensure, flow_schemas, rbac};
use crate::metrics;

/// Paths whose objects depend on the cluster and are made elsewhere.
const OWN: [&str; 3] =
    ["/api/v1/services", "/apis/networking.k8s.io/v1/ipaddresses", "/apis/networking.k8s.io/v1/servicecidrs"];

/// Whose the fields of flow control's built-in objects are.
const FLOW_MANAGER: &str = "api-priority-and-fairness-config-producer-v1";

pub(super) fn plan(view: &View, now: Timestamp) -> Vec<Companion> {
    let mut changes = Vec::new();
    for (path, objects) in facts::bootstrap_objects() {
        if OWN.contains(&path.as_str()) {
            continue;
        }
        let Some((group, version, resource)) = split(&path) else { continue };
        let Some((definition, _)) = view.catalogue().find(group, version, resource) else { continue };
        for mut object in objects {
            object.set("kind", definition.kind.to_string());
            object.set("apiVersion", definition.api_version(version));
            date_conditions(&mut object, now);
            let stored = view.get(group, resource, meta::namespace(&object), meta::name(&object));
            match stored {
                None => {
                    // What follows from other objects, loops write.
                    if !object["aggregationRule"].is_null() {
                        object.set("rules", Value::Null);
                    }
                    let mut manager = OWN_MANAGER;
                    if group == flow_schemas::GROUP {
                        manager = FLOW_MANAGER;
                        object.remove("status");
                    }
                    let made = create_missing(view, group, resource, object);
                    changes.extend(made.map(|made| Companion { manager, ..made }));
                }
                Some(_) if group == auth::rbac::GROUP => {
                    let mend = |stored: Value, object: &Value| rbac::reconcile(&stored, object);
                    changes.extend(ensure(view, group, resource, object, mend));
                }
                Some(_) => {}
            }
        }
    }
    if view.catalogue().resource(metrics::GROUP, "pods").is_some() {
        for (group, resource, mut object) in metrics::objects() {
            date_conditions(&mut object, now);
            changes.extend(create_missing(view, group, resource, object));
        }
    }
    changes
}

/// `/apis/GROUP/VERSION/RESOURCE` or `/api/VERSION/RESOURCE`.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let mut parts = path.trim_start_matches('/').split('/');
    match parts.next()? {
        "api" => Some(("", parts.next()?, parts.next()?)),
        _ => Some((parts.next()?, parts.next()?, parts.next()?)),
    }
}

/// The facts were measured on another day.
fn date_conditions(object: &mut Value, now: Timestamp) {
    let Some(status) = object.get_mut("status") else { return };
    for condition in crate::changes::items(status, "conditions") {
        condition.set("lastTransitionTime", time::format(now));
    }
}

/// The rules of the built-in ClusterRole `system:node`, for the Node authorizer.
pub fn system_node_rules() -> Arc<[Rule]> {
    let rules = facts::bootstrap_objects()
        .into_iter()
        .filter(|(path, _)| path.ends_with("/clusterroles"))
        .flat_map(|(_, objects)| objects)
        .find(|role| meta::name(role) == "system:node")
        .map(|role| Rule::read_all(&role["rules"]))
        .unwrap_or_default();
    rules.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        assert_eq!(split("/api/v1/services"), Some(("", "v1", "services")));
        assert_eq!(
            split("/apis/rbac.authorization.k8s.io/v1/roles"),
            Some(("rbac.authorization.k8s.io", "v1", "roles"))
        );
    }

    #[test]
    fn a_node_may_write_its_status() {
        let rules = system_node_rules();
        assert!(rules.iter().any(|rule| rule.allows_resource("patch", "", "nodes", "status", "n")));
        assert!(!rules.iter().any(|rule| rule.allows_resource("delete", "", "namespaces", "", "n")));
    }
}
