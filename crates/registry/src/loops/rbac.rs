//! Bringing built-in roles and bindings up to date: what is missing comes back,
//! what somebody added stays (kube-apiserver's RBAC reconciliation).

use apimachinery::Value;
use auth::rbac::{Rule, uncovered};

/// An administrator sets it to `false` to keep an object as it is.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// The stored object with what `wanted` has beyond it; nothing where it has all.
pub(super) fn reconcile(stored: &Value, wanted: &Value) -> Option<Value> {
    if stored["metadata"]["annotations"][AUTOUPDATE].text() == "false" {
        return None;
    }
    let mut updated = stored.clone();
    let mut changed = merge_metadata(&mut updated, wanted);
    changed |= if wanted["roleRef"].is_null() {
        add_rules(&mut updated, wanted)
    } else {
        add_subjects(&mut updated, wanted)
    };
    changed.then_some(updated)
}

fn merge_metadata(updated: &mut Value, wanted: &Value) -> bool {
    let mut changed = false;
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].members() {
            let present = &updated["metadata"][field][key];
            // A value that somebody changed is theirs.
            if present.is_null() {
                updated.entry("metadata").entry(field).set(key.to_owned(), value.clone());
                changed = true;
            }
        }
    }
    changed
}

fn add_rules(updated: &mut Value, wanted: &Value) -> bool {
    if wanted["aggregationRule"] != updated["aggregationRule"] && !wanted["aggregationRule"].is_null() {
        updated.set("aggregationRule", wanted["aggregationRule"].clone());
        return true;
    }
    // The rules of an aggregated role are the aggregation controller's.
    if !wanted["aggregationRule"].is_null() {
        return false;
    }
    let owned = Rule::read_all(&updated["rules"]);
    let missing: Vec<Value> = wanted["rules"]
        .items()
        .iter()
        .filter(|rule| !uncovered(&owned, &[Rule::read(rule)]).is_empty())
        .cloned()
        .collect();
    append(updated.entry("rules"), missing)
}

fn add_subjects(updated: &mut Value, wanted: &Value) -> bool {
    let present = updated["subjects"].items().to_vec();
    let missing: Vec<Value> =
        wanted["subjects"].items().iter().filter(|subject| !present.contains(subject)).cloned().collect();
    append(updated.entry("subjects"), missing)
}

fn append(list: &mut Value, more: Vec<Value>) -> bool {
    let added = !more.is_empty();
    match list {
        Value::Array(items) => items.extend(more),
        other if added => *other = Value::Array(more),
        _ => {}
    }
    added
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn role(rules: Value) -> Value {
        value!({"metadata": {"name": "r", "labels": {"a": "b"}}, "rules": rules})
    }

    #[test]
    fn missing_rules_come_back_and_added_ones_stay() {
        let get = value!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let list = value!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]});
        let own = value!({"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]});
        let wanted = role(vec![get.clone(), list.clone()].into());
        let stored = role(vec![get.clone(), own.clone()].into());
        let updated = reconcile(&stored, &wanted).expect("an update");
        assert_eq!(updated["rules"], Value::Array(vec![get, own, list]));
        assert_eq!(reconcile(&updated, &wanted), None);
    }

    #[test]
    fn an_administrator_can_keep_a_role() {
        let mut stored = role(value!([]));
        stored.entry_at(&["metadata", "annotations"]).set(AUTOUPDATE, "false");
        let wanted = role(value!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]));
        assert_eq!(reconcile(&stored, &wanted), None);
    }

    #[test]
    fn subjects_come_back() {
        let wanted = value!({"metadata": {"name": "b"}, "roleRef": {"name": "r"}, "subjects": [{"kind": "Group", "name": "g"}]});
        let mut stored = wanted.clone();
        stored.remove("subjects");
        let updated = reconcile(&stored, &wanted).expect("an update");
        assert_eq!(updated["subjects"], wanted["subjects"]);
    }
}
