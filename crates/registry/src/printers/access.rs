//! Bindings of roles and requests for certificates.

use apimachinery::{Value, table};
use jiff::Timestamp;

use super::words::{NONE, age, cells, labels, name, or};

/// Name, Role, Age, Users, Groups, ServiceAccounts.
pub fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let of_kind = |kind: &str| {
        object["subjects"]
            .items()
            .iter()
            .filter(|subject| subject["kind"].text() == kind)
            .map(|subject| match subject["namespace"].text() {
                namespace if kind == "ServiceAccount" => format!("{namespace}/{}", subject["name"].text()),
                _ => subject["name"].text().to_owned(),
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    cells![
        name(object),
        format!("{}/{}", role["kind"].text(), role["name"].text()),
        age(object, now),
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ]
}

/// Name, Age, SignerName, Requestor, RequestedDuration, Condition.
pub fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let duration = spec["expirationSeconds"].as_i64().map_or(NONE.to_owned(), table::human_duration);
    cells![
        name(object),
        age(object, now),
        or(&spec["signerName"], NONE),
        spec["username"].text(),
        duration,
        signing_state(&object["status"]),
    ]
}

fn signing_state(status: &Value) -> String {
    let has =
        |kind: &str| status["conditions"].items().iter().any(|condition| condition["type"].text() == kind);
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !status["certificate"].text().is_empty() {
        state.push_str(",Issued");
    }
    state
}

/// Name, SignerName.
pub fn trust_bundle(object: &Value, _: Timestamp) -> Vec<Value> {
    cells![name(object), or(&object["spec"]["signerName"], NONE)]
}

/// Name, PodName, ServiceAccountName, NodeName, SignerName, State, UnverifiedUserAnnotations.
pub fn pod_certificate_request(object: &Value, _: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let conditions = object["status"]["conditions"].items();
    let state = conditions
        .iter()
        .filter(|condition| condition["status"].text() == "True")
        .map(|condition| condition["type"].text())
        .find(|kind| matches!(*kind, "Issued" | "Denied" | "Failed"))
        .unwrap_or("Pending");
    cells![
        name(object),
        spec["podName"].text(),
        spec["serviceAccountName"].text(),
        spec["nodeName"].text(),
        spec["signerName"].text(),
        state,
        labels(&spec["unverifiedUserAnnotations"]),
    ]
}
