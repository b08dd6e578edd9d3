//! The strategic merge patch that turns the status in the API into the wanted
//! one, and touches nothing that others own.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

/// Fields that the kubelet writes. Conditions are merged by type, so those of
/// others stay.
const OWNED: &[&str] = &[
    "phase",
    "reason",
    "message",
    "startTime",
    "hostIP",
    "podIP",
    "qosClass",
    "observedGeneration",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
];
/// Lists that a strategic patch would merge by `ip`: they are replaced.
const REPLACED: &[&str] = &["hostIPs", "podIPs"];

/// None where nothing differs. `uid` keeps the patch from a namesake.
pub fn patch(current: &PodStatus, wanted: &PodStatus, uid: &str) -> Option<Value> {
    let tree = |status: &PodStatus| match serde_json::to_value(status) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (current, wanted) = (tree(current), tree(wanted));
    let mut changes = Map::new();
    let names: BTreeSet<&str> = OWNED.iter().chain(REPLACED).copied().collect();
    for name in names {
        let (is, should) = (current.get(name), wanted.get(name));
        // No addresses yet does not mean that known ones are wrong.
        if is == should
            || (REPLACED.contains(&name) && should.is_none())
            || (name == "podIP" && should.is_none())
        {
            continue;
        }
        let mut value = should.cloned().unwrap_or(Value::Null);
        if let (true, Value::Array(list)) = (REPLACED.contains(&name) && is.is_some(), &mut value) {
            list.push(json!({"$patch": "replace"}));
        }
        changes.insert(name.to_owned(), value);
    }
    let conditions = changed_conditions(current.get("conditions"), wanted.get("conditions"));
    if !conditions.is_empty() {
        changes.insert("conditions".into(), Value::Array(conditions));
    }
    (!changes.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": changes}))
}

fn changed_conditions(current: Option<&Value>, wanted: Option<&Value>) -> Vec<Value> {
    fn list(value: Option<&Value>) -> &[Value] {
        value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
    let mut changed = Vec::new();
    for condition in list(wanted) {
        let before = list(current).iter().find(|one| one["type"] == condition["type"]);
        let mut condition = condition.clone();
        let same = before.is_some_and(|before| {
            ["status", "reason", "message", "observedGeneration"]
                .iter()
                .all(|field| before.get(field) == condition.get(field))
        });
        if same {
            continue;
        }
        // What has vanished must be said, since a patch merges.
        for field in ["reason", "message"] {
            if before.is_some_and(|before| before.get(field).is_some()) && condition.get(field).is_none() {
                condition[field] = Value::Null;
            }
        }
        changed.push(condition);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_differences_are_sent_and_others_conditions_stay() {
        let current = status(json!({
            "phase": "Pending", "reason": "Old", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"},
                {"type": "Initialized", "status": "True"},
            ],
        }));
        let wanted = status(json!({
            "phase": "Running", "podIPs": [{"ip": "10.0.0.2"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}],
        }));
        assert_eq!(
            patch(&current, &wanted, "u").unwrap(),
            json!({"metadata": {"uid": "u"}, "status": {
                "phase": "Running", "reason": null,
                "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "replace"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": null, "message": null}],
            }})
        );
        assert_eq!(patch(&wanted, &wanted, "u"), None);
    }
}
