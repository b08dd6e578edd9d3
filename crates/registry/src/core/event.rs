//! Event, in the core group and in `events.k8s.io`: one kind with two shapes,
//! stored in that of the core group, for an hour.

use std::time::Duration;

use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value};
use apiserver::{Context, Conversion, Orphaning, Strategy, Version};
use jiff::Timestamp;

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

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let about = object["involvedObject"]["namespace"].text();
        let own = object["metadata"]["namespace"].text();
        // What is of no namespace is told in `default`.
        let matches = if about.is_empty() { own == "default" || own.is_empty() } else { about == own };
        if !matches {
            let involved = Path::Root.child("involvedObject");
            errors.invalid(&involved.child("namespace"), about, "does not match event.namespace");
        }
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, _: &Value) -> Errors {
        self.validate_create(context, object)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::event::event(object, now)
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
}
