//! Event, in the core group and in `events.k8s.io`: one kind with two shapes,
//! stored in that of the core group, for an hour.

use std::time::Duration;

use apimachinery::field::{Errors, Path};
use apimachinery::validation::meta;
use apimachinery::{Status, Value};
use apiserver::{Context, Conversion, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::rules::{internal, qualified};

/// kube-apiserver's default of `--event-ttl`.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

/// Event.
pub struct Event;

/// The shape of `events.k8s.io/v1`.
pub struct EventsGroup;

impl Strategy for Event {
    fn time_to_live(&self, _: &Value) -> Option<Duration> {
        Some(TIME_TO_LIVE)
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn orphaning(&self) -> Orphaning {
        Orphaning::Unsupported
    }

    fn invalid_group(&self) -> Option<&'static str> {
        Some("")
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    /// Old clients' events are checked loosely, and new ones after that.
    fn checks_metadata(&self, _: &Context<'_>) -> bool {
        false
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = of_both(object, &context.definition.group);
        if is_new(context) {
            let path = Path::Root.child("metadata");
            meta::validate(&object["metadata"], &meta::Rules::default(), &path, &mut errors);
            of_new(object, &mut errors);
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = of_both(object, &context.definition.group);
        if is_new(context) {
            if object["series"] != old["series"] {
                series(object, &mut errors);
            }
            for field in FIXED {
                if !crate::rules::same(&object[field], &old[field]) {
                    let told = internal_value(field, &object[field]);
                    errors.invalid(&Path::Root.child(shown(field)), told, "field is immutable");
                }
            }
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::event::event(object, now)
    }
}

/// `events.k8s.io/v1` is strict; in the core group old clients write as they like.
fn is_new(context: &Context<'_>) -> bool {
    context.definition.group == "events.k8s.io" && context.version.name == "v1"
}

/// What an event of the strict version keeps, in the order in which upstream looks.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    COMPONENT.0,
    "reportingInstance",
];

/// Fields by the names of the internal type.
fn shown(field: &str) -> &str {
    if field == COMPONENT.0 { COMPONENT.1 } else { field }
}

/// A field as messages show it.
fn internal_value(field: &str, value: &Value) -> Value {
    match (field, value) {
        ("involvedObject", value) => internal::of("ObjectReference", value),
        ("source", value) => internal::of("EventSource", value),
        (_, Value::Object(_)) => internal::of("ObjectReference", value),
        ("count", Value::Null) => 0.into(),
        ("firstTimestamp" | "lastTimestamp" | "eventTime" | "related", Value::Null) => Value::Null,
        (_, Value::Null) => "".into(),
        (_, value) => value.clone(),
    }
}

const MOST_LETTERS: usize = 128;
const MOST_LETTERS_OF_NOTE: usize = 1024;

fn of_both(object: &Value, group: &str) -> Errors {
    let mut errors = Errors::new();
    let about = object["involvedObject"]["namespace"].text();
    let own = object["metadata"]["namespace"].text();
    // What is of no namespace is told in `default`; new events may be told elsewhere.
    let old = object["eventTime"].text().is_empty();
    let matches = match (about.is_empty(), old) {
        (true, true) => own == "default" || own.is_empty(),
        (true, false) => own == "default" || own == "kube-system",
        (false, true) => about == own,
        (false, false) => true,
    };
    if !matches {
        let involved = Path::Root.child("involvedObject");
        errors.invalid(&involved.child("namespace"), about, "does not match event.namespace");
    }
    if object["eventTime"].text().is_empty() {
        return errors;
    }
    let text = |field: &str| object[field].text();
    let controller = text(COMPONENT.0);
    let field = Path::Root.child(if group.is_empty() { COMPONENT.0 } else { COMPONENT.1 });
    if controller.is_empty() {
        errors.required(&field, "");
    }
    qualified(&field, controller, &mut errors);
    for (field, required, most) in [
        ("reportingInstance", true, MOST_LETTERS),
        ("action", true, MOST_LETTERS),
        ("reason", true, MOST_LETTERS),
        ("message", false, MOST_LETTERS_OF_NOTE),
    ] {
        if required && text(field).is_empty() {
            errors.required(&Path::Root.child(field), "");
        }
        if text(field).len() > most {
            let why = format!("can have at most {most} characters");
            errors.invalid(&Path::Root.child(field), "", &why);
        }
    }
    errors
}

fn of_new(object: &Value, errors: &mut Errors) {
    series(object, errors);
    let field = |name: &'static str| Path::Root.child(name);
    if object["eventTime"].text().is_empty() {
        errors.required(&field("eventTime"), "");
    }
    let kind = object["type"].text();
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid(&field("type"), "", &format!("has invalid value: {kind}"));
    }
    for old in ["firstTimestamp", "lastTimestamp"] {
        if !object[old].text().is_empty() {
            errors.invalid(&field(old), "", "needs to be unset");
        }
    }
    if object["count"].as_i64().unwrap_or(0) != 0 {
        errors.invalid(&field("count"), "", "needs to be unset");
    }
    let source = &object["source"];
    if !source["component"].text().is_empty() || !source["host"].text().is_empty() {
        errors.invalid(&field("source"), "", "needs to be unset");
    }
}

/// A series is of two at least, and was seen.
fn series(object: &Value, errors: &mut Errors) {
    let series = &object["series"];
    if series.is_null() {
        return;
    }
    if series["count"].as_i64().unwrap_or(0) < 2 {
        errors.invalid(&Path::Root.child("series.count"), "", "should be at least 2");
    }
    if series["lastObservedTime"].text().is_empty() {
        errors.required(&Path::Root.child("series.lastObservedTime"), "");
    }
}

/// Names of fields: in the core group, in `events.k8s.io`.
const RENAMED: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

const COMPONENT: (&str, &str) = ("reportingComponent", "reportingController");

fn rename(object: &mut Value, from: impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str)) {
    for pair in RENAMED.iter().chain([&COMPONENT]) {
        let (old, new) = from(pair);
        if let Some(value) = object.remove(old) {
            object.set(new, value);
        }
    }
}

impl Conversion for EventsGroup {
    fn to_storage(&self, object: &mut Value) -> Result<(), Status> {
        rename(object, |(core, group)| (*group, *core));
        object.set("apiVersion", "v1");
        Ok(())
    }

    fn from_storage(&self, object: &mut Value) -> Result<(), Status> {
        rename(object, |(core, group)| (*core, *group));
        object.set("apiVersion", "events.k8s.io/v1");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn both_shapes_hold_the_same() {
        let core = value!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod"},
            "reason": "R", "message": "m", "source": {"component": "c"}, "count": 3, "type": "Normal",
            "reportingComponent": "c", "reportingInstance": "i", "firstTimestamp": null
        });
        let mut object = core.clone();
        EventsGroup.from_storage(&mut object).expect("converted");
        assert_eq!(object["note"].text(), "m");
        assert_eq!(object["regarding"]["kind"].text(), "Pod");
        assert_eq!(object["reportingController"].text(), "c");
        assert!(object["involvedObject"].is_null());
        EventsGroup.to_storage(&mut object).expect("converted");
        assert_eq!(object, core);
    }

    #[test]
    fn the_newer_version_is_strict() {
        let event = value!({
            "metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "series": {"count": 1}, "count": 1
        });
        let mut errors = of_both(&event, "events.k8s.io");
        of_new(&event, &mut errors);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "reportingController",
                "reportingController",
                "reportingController",
                "reportingInstance",
                "action",
                "reason",
                "series.count",
                "series.lastObservedTime",
                "type",
                "count"
            ]
        );
        let old = of_both(&event, "");
        assert_eq!(old.iter().next().map(|error| error.field.as_str()), Some("reportingComponent"));
    }
}
