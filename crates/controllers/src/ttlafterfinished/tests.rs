//! Table tests of the plan.

use std::time::Duration;

use apimachinery::value;
use jiff::Timestamp;

use super::plan::{Action, Finished, plan};

#[test]
fn a_job_goes_when_its_time_is_over() {
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
    let job = |spec, kind: &str, status: &str| {
        let tree = value!({
            "metadata": {"name": "a", "namespace": "b", "uid": "u"},
            "spec": (spec),
            "status": {"conditions": [
                {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:30Z"}
            ]}
        });
        Finished::of(&tree.decode().unwrap())
    };
    let template = || value!({"spec": {"containers": []}});
    let with = |ttl: i64| value!({"template": (template()), "ttlSecondsAfterFinished": ttl});
    let without = || value!({"template": (template())});
    for (job, expected) in [
        (job(with(0), "Complete", "True"), Action::Delete),
        (job(with(30), "Failed", "True"), Action::Delete),
        (job(with(40), "Complete", "True"), Action::Again(Duration::from_secs(10))),
        (job(with(0), "Complete", "False"), Action::Nothing),
        (job(with(0), "FailureTarget", "True"), Action::Nothing),
        (job(without(), "Complete", "True"), Action::Nothing),
    ] {
        assert_eq!(plan(&job, now), expected, "{job:?}");
    }
}
