//! Namespaces, their data and limits.

use apimachinery::{Object, Value};
use jiff::Timestamp;

use super::words::{age, cells, count, name, or, plain};

/// Name, Created At: kinds whose rows say no more.
pub fn created_at(object: &Value, _: Timestamp) -> Vec<Value> {
    cells![name(object), object["metadata"]["creationTimestamp"].text()]
}

/// Name, Age.
pub fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), age(object, now)]
}

/// Name, Status, Age.
pub fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), object["status"]["phase"].text(), age(object, now)]
}

/// Name, Data, Age.
pub fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), count(&object["data"]) + count(&object["binaryData"]), age(object, now)]
}

/// Name, Type, Data, Age.
pub fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), object["type"].text(), count(&object["data"]), age(object, now)]
}

/// Name, Request, Limit, Age.
pub fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let mut hard: Object = status["hard"].as_object().cloned().unwrap_or_default();
    hard.sort();
    let told = |limits: bool| {
        hard.iter()
            .filter(|(resource, _)| resource.starts_with("limits.") == limits)
            .map(|(resource, most)| {
                format!("{resource}: {}/{}", or(&status["used"][resource], "0"), plain(most))
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    cells![name(object), told(false), told(true), age(object, now)]
}

/// Name, Holder, Age.
pub fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), object["spec"]["holderIdentity"].text(), age(object, now)]
}

/// Name, Value, Global-Default, Age, PreemptionPolicy.
pub fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![
        name(object),
        object["value"].as_i64().unwrap_or(0),
        object["globalDefault"].is_true(),
        age(object, now),
        object["preemptionPolicy"].text(),
    ]
}

/// Name, Handler, Age.
pub fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), object["handler"].text(), age(object, now)]
}
