//! Table tests of which Secrets go.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use serde::Deserialize;

use super::plan::{Action, is_stale, is_time, named_by, plan};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    secret: Written<Secret>,
    account: Option<Written<ServiceAccount>>,
    mounted: BTreeSet<String>,
}

#[test]
fn tokens_that_nobody_uses_are_marked_and_then_go() {
    check(CASES, "tokens that nobody uses are marked and then go", |case: Case| {
        let action = is_stale(&case.secret, now())
            .then(|| plan(&case.secret, case.account.as_deref(), &case.mounted, now()))
            .flatten();
        match action {
            Some(Action::Mark(day)) => format!("mark invalid since {day}"),
            Some(Action::Delete) => "delete".to_owned(),
            None => "keep".to_owned(),
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    since: String,
}

#[test]
fn a_year_must_have_been_told_first() {
    check(CASES, "a year must have been told first", |case: Told| is_time(&case.since, now()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Naming {
    pod: Written<Pod>,
}

#[test]
fn pods_name_secrets_in_many_places() {
    check(CASES, "pods name secrets in many places", |case: Naming| named_by(&case.pod));
}
