//! Conditions in the status of objects: found, set, and checked by the rules
//! of meta/v1, as the newer kinds have them.

use std::collections::HashSet;

use apimachinery::field::{Errors, Path};
use apimachinery::validation::label_key;
use apimachinery::{Value, time};
use jiff::Timestamp;

const MOST_REASON: usize = 1024;
const MOST_MESSAGE: usize = 32 << 10;

/// A condition in the status of an object.
pub fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].items().iter().find(|condition| condition["type"].text() == kind)
}

/// Whether a condition holds.
pub fn is_true(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|condition| condition["status"].text() == "True")
}

/// What a condition is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    pub kind: &'a str,
    pub status: bool,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Sets a condition; its time changes with its status alone.
pub fn set(object: &mut Value, told: Told<'_>, now: Timestamp) {
    let status = if told.status { "True" } else { "False" };
    let conditions = object.entry("status").entry("conditions");
    if conditions.is_null() {
        *conditions = Value::Array(Vec::new());
    }
    let Value::Array(conditions) = conditions else { return };
    let at = conditions.iter().position(|condition| condition["type"].text() == told.kind);
    let at = at.unwrap_or_else(|| {
        let mut condition = Value::object();
        condition.set("type", told.kind);
        conditions.push(condition);
        conditions.len() - 1
    });
    let condition = &mut conditions[at];
    if condition["status"].text() != status || condition["lastTransitionTime"].is_null() {
        condition.set("lastTransitionTime", time::format(now));
    }
    condition.set("status", status);
    condition.set("reason", told.reason);
    condition.set("message", told.message);
}

/// Every condition whole, one of a type.
pub fn validate(path: &Path<'_>, conditions: &Value, errors: &mut Errors) {
    let mut types: HashSet<&str> = HashSet::new();
    for (at, condition) in conditions.items().iter().enumerate() {
        let here = path.index(at);
        let kind = condition["type"].text();
        if types.contains(&kind) {
            errors.duplicate(&here, kind);
        }
        types.insert(kind);
        one(&here, condition, errors);
    }
}

fn one(path: &Path<'_>, condition: &Value, errors: &mut Errors) {
    let kind = condition["type"].text();
    match kind {
        "" => errors.required(&path.child("type"), "is required"),
        kind => errors.check(&path.child("type"), kind, label_key(kind)),
    }
    match condition["status"].text() {
        "" => errors.required(&path.child("status"), ""),
        status => errors.one_of(&path.child("status"), status, &["False", "True", "Unknown"]),
    }
    let generation = condition["observedGeneration"].as_i64();
    if let Some(generation) = generation.filter(|generation| *generation < 0) {
        let why = "must be greater than or equal to zero";
        errors.invalid(&path.child("observedGeneration"), generation, why);
    }
    if condition["lastTransitionTime"].is_null() {
        errors.required(&path.child("lastTransitionTime"), "");
    }
    let (reason, place) = (condition["reason"].text(), path.child("reason"));
    if reason.is_empty() {
        errors.required(&place, "");
    } else {
        if !is_reason(reason) {
            errors.invalid(
                &place,
                reason,
                "a condition reason must start with alphabetic character, optionally followed by a string of \
                 alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. \
                 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used \
                 for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
            );
        }
        if reason.len() > MOST_REASON {
            errors.too_long(&place, MOST_REASON);
        }
    }
    if condition["message"].text().len() > MOST_MESSAGE {
        errors.too_long(&path.child("message"), MOST_MESSAGE);
    }
}

fn is_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|byte| word(*byte))
        && bytes.iter().all(|byte| word(*byte) || matches!(byte, b',' | b':'))
}

/// The types of older conditions: there, and one of each (flow control).
pub fn types(path: &Path<'_>, conditions: &Value, errors: &mut Errors) {
    let mut types: HashSet<&str> = HashSet::new();
    for (at, condition) in conditions.items().iter().enumerate() {
        let here = path.index(at);
        let kind = condition["type"].text();
        if types.contains(&kind) {
            errors.duplicate(&here.child("type"), kind);
        }
        types.insert(kind);
        if kind.is_empty() {
            errors.required(&here.child("type"), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn conditions_are_whole_and_one_of_a_type() {
        let whole = value!({
            "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Fine"
        });
        let told = |conditions: Value| {
            let mut errors = Errors::new();
            validate(&Path::Root.child("c"), &conditions, &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(vec![whole.clone()].into()).len(), 0);
        assert_eq!(told(vec![whole.clone(), whole.clone()].into()), ["c[1]: Duplicate value: \"Ready\""]);
        let mut odd = whole;
        odd.set("reason", "not one");
        odd.set("status", "Maybe");
        assert_eq!(told(value!([odd])).len(), 2);
        assert_eq!(
            told(value!([{}])),
            [
                "c[0].type: Required value: is required",
                "c[0].status: Required value",
                "c[0].lastTransitionTime: Required value",
                "c[0].reason: Required value"
            ]
        );
    }
}
