//! Table tests of when tokens go.

use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;

use super::plan::{Action, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    token: Written<Secret>,
}

#[test]
fn tokens_go_when_they_expire() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    check(include_str!("cases.yaml"), "tokens at the turn of the year", |case: Case| {
        match plan(&case.token.stored(), now) {
            Action::Nothing => "nothing".to_owned(),
            Action::Delete => "delete".to_owned(),
            Action::Again(after) => format!("look again after {after:?}"),
        }
    });
}
