//! Table tests of the plan.

use k8s_openapi::api::batch::v1::Job;
use serde::Deserialize;

use super::plan::{Action, Finished, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    job: Written<Job>,
}

#[test]
fn a_job_goes_when_its_time_is_over() {
    let now = "2026-01-01T00:01:00Z".parse().unwrap();
    check(include_str!("cases.yaml"), "what becomes of a Job at 00:01:00", |case: Case| {
        match plan(&Finished::of(&case.job), now) {
            Action::Nothing => "nothing".to_owned(),
            Action::Delete => "delete".to_owned(),
            Action::Again(after) => format!("look again after {after:?}"),
        }
    });
}
