//! Validation of what controllers say of workloads: counts, none of them
//! negative, and no part larger than the whole.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

use crate::rules::non_negative;

/// The counts of a kind's status, and which of them are parts of which.
struct Counts {
    /// In the order in which they are looked at.
    all: &'static [&'static str],
    /// Parts of `replicas`.
    parts: &'static [&'static str],
    /// What the number is called that `availableReplicas` is a part of.
    ready: &'static str,
}

const DEPLOYMENT: Counts = Counts {
    all: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    parts: &["updatedReplicas", "readyReplicas", "availableReplicas"],
    ready: "readyReplicas",
};

const REPLICA_SET: Counts = Counts {
    all: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ],
    parts: &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    ready: "readyReplicas",
};

const STATEFUL_SET: Counts = Counts {
    all: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    parts: &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
    ready: "status.readyReplicas",
};

const DAEMON_SET: Counts = Counts {
    all: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    parts: &[],
    ready: "",
};

pub fn deployment(object: &Value, old: &Value) -> Errors {
    counted(object, old, &DEPLOYMENT)
}

/// Of ReplicaSets and ReplicationControllers.
pub fn replica_set(object: &Value, old: &Value) -> Errors {
    counted(object, old, &REPLICA_SET)
}

pub fn stateful_set(object: &Value, old: &Value) -> Errors {
    counted(object, old, &STATEFUL_SET)
}

pub fn daemon_set(object: &Value, old: &Value) -> Errors {
    counted(object, old, &DAEMON_SET)
}

fn counted(object: &Value, old: &Value, counts: &Counts) -> Errors {
    let mut errors = Errors::new();
    let (status, path) = (&object["status"], Path::Root.child("status"));
    for field in counts.all {
        non_negative(&path.child(field), &status[*field], &mut errors);
    }
    let number = |status: &Value, field: &str| status[field].as_i64().unwrap_or(0);
    for field in counts.parts {
        if number(status, field) > number(status, "replicas") {
            errors.invalid(
                &path.child(field),
                number(status, field),
                "cannot be greater than status.replicas",
            );
        }
    }
    let available = number(status, "availableReplicas");
    if !counts.parts.is_empty() && available > number(status, "readyReplicas") {
        let why = format!("cannot be greater than {}", counts.ready);
        errors.invalid(&path.child("availableReplicas"), available, &why);
    }
    let collisions = "collisionCount";
    if counts.all.contains(&collisions)
        && !old["status"][collisions].is_null()
        && number(status, collisions) < number(&old["status"], collisions)
    {
        errors.invalid(&path.child(collisions), number(status, collisions), "cannot be decremented");
    }
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn parts_are_not_more_than_the_whole() {
        let told = |errors: Errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let status = value!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 1}});
        let expected = ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"];
        for check in [deployment, replica_set, stateful_set] {
            assert_eq!(told(check(&status, &Value::Null)), expected);
        }
        let available = value!({"status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}});
        assert_eq!(
            told(stateful_set(&available, &Value::Null)),
            ["status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas"]
        );
    }

    #[test]
    fn collisions_are_counted_up() {
        let with = |count: i64| value!({"status": {"collisionCount": count}});
        assert!(daemon_set(&with(2), &with(1)).is_empty());
        assert_eq!(deployment(&with(1), &with(2)).len(), 1);
        assert_eq!(daemon_set(&with(-1), &Value::Null).len(), 1);
    }
}
