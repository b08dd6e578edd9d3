//! Who may write which part of a ResourceClaim's status (KEP-4817): allocation
//! and reservations are the scheduler's, by the right to
//! `resourceclaims/binding`; devices are their driver's, by the right to
//! `resourceclaims/driver` for a node.

use std::collections::BTreeSet;

use apimachinery::field::{Errors, Path};
use apimachinery::status::GroupResource;
use apimachinery::{Status, Value};
use apiserver::{Action, Context, decide};

const GROUP: &str = "resource.k8s.io";
const CLAIMS: &str = "resourceclaims";

/// An error for each part of the status that the user changes and may not.
pub(super) fn check(context: &Context<'_>, object: &Value, old: &Value, errors: &mut Errors) {
    let (new, before) = (&object["status"], &old["status"]);
    let path = Path::Root.child("status");
    let verb = if context.is_patch { "patch" } else { "update" };
    if ["allocation", "reservedFor"].iter().any(|part| new[*part] != before[*part])
        && let Some(why) = refuse(context, verb, "binding", ("", ""))
    {
        let why = format!(
            "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", \
             verb=\"{verb}\" permission: {why}"
        );
        errors.forbidden(&path.child("allocation"), &why);
    }
    // The devices of what is no longer allocated go by themselves.
    if new["allocation"].is_null() {
        return;
    }
    let verbs = verbs(verb, context.user.node_of_account(), &new["allocation"]);
    for driver in changed_drivers(new, before) {
        let place = (context.namespace, driver);
        let refusals: Option<Vec<String>> =
            verbs.iter().map(|verb| refuse(context, verb, "driver", place)).collect();
        if let Some(first) = refusals.and_then(|refusals| refusals.into_iter().next()) {
            let why = format!(
                "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{}]\" permission: {first}",
                verbs.join(" ")
            );
            errors.forbidden(&path.child("devices"), &why);
        }
    }
}

/// Why the user may not do this, if so.
fn refuse(
    context: &Context<'_>,
    verb: &str,
    subresource: &str,
    (namespace, name): (&str, &str),
) -> Option<String> {
    let action = Action {
        version: &context.version.name,
        subresource,
        namespace,
        name,
        ..Action::on(context.user, verb, GROUP, CLAIMS)
    };
    let decision = decide(context.authorizers, &action, context.view);
    if decision.is_allowed() {
        return None;
    }
    let mut why = action.refusal();
    let told: Vec<&str> = [decision.error.as_str(), decision.reason.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    if !told.is_empty() {
        why = format!("{why}: {}", told.join(": "));
    }
    Some(Status::forbidden(GroupResource { group: GROUP, resource: CLAIMS }, name, &why).message)
}

/// The verbs of which one must be allowed: that for the account's own node,
/// where the claim is allocated there, and that for any node.
fn verbs(verb: &str, node: Option<&str>, allocation: &Value) -> Vec<String> {
    let mut verbs = vec![format!("arbitrary-node:{verb}")];
    if node.is_some() && node == node_of(allocation) {
        verbs.insert(0, format!("associated-node:{verb}"));
    }
    verbs
}

/// The one node that the devices are for.
fn node_of(allocation: &Value) -> Option<&str> {
    let [term] = allocation["nodeSelector"]["nodeSelectorTerms"].items() else { return None };
    let [field] = term["matchFields"].items() else { return None };
    let [value] = field["values"].items() else { return None };
    let is_name = field["key"].text() == "metadata.name" && field["operator"].text() == "In";
    (is_name && term["matchExpressions"].items().is_empty()).then(|| value.text())
}

/// The drivers of devices whose status came, went or changed.
fn changed_drivers<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    const KEY: [&str; 4] = ["driver", "pool", "device", "shareID"];
    let devices = |status: &'a Value| status["devices"].items();
    let is_in = |one: &Value, status: &'a Value| {
        devices(status).iter().any(|known| KEY.iter().all(|part| known[*part] == one[*part]) && known == one)
    };
    let changed = devices(new).iter().filter(|device| !is_in(device, old));
    let gone = devices(old).iter().filter(|device| !is_in(device, new));
    changed.chain(gone).map(|device| device["driver"].text()).collect()
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn drivers_answer_for_their_own_devices() {
        let device = |driver: &str, ready: bool| value!({"driver": driver, "pool": "p", "device": "d", "ready": ready});
        let with = |devices: Vec<Value>| value!({"devices": devices});
        for (new, old, told) in [
            (with(vec![]), with(vec![]), vec![]),
            (with(vec![device("a", true)]), with(vec![device("a", true)]), vec![]),
            (with(vec![device("a", true)]), with(vec![device("a", false)]), vec!["a"]),
            (with(vec![device("b", true)]), with(vec![device("a", true)]), vec!["a", "b"]),
        ] {
            assert_eq!(changed_drivers(&new, &old).into_iter().collect::<Vec<_>>(), told);
        }
    }

    #[test]
    fn an_account_of_the_claims_node_needs_less() {
        let at = |node: &str| {
            value!({"nodeSelector": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
            ]}})
        };
        assert_eq!(verbs("update", Some("n"), &at("n")), ["associated-node:update", "arbitrary-node:update"]);
        assert_eq!(verbs("patch", Some("m"), &at("n")), ["arbitrary-node:patch"]);
        assert_eq!(verbs("patch", None, &value!({})), ["arbitrary-node:patch"]);
    }
}
