//! Table test of when requests go.

use k8s_openapi::api::certificates::v1::PodCertificateRequest;
use serde::Deserialize;

use super::plan::Request;
use crate::aging::Aged;
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    request: Written<PodCertificateRequest>,
}

#[test]
fn requests_go_after_a_quarter_of_an_hour() {
    check(include_str!("cases.yaml"), "requests go after a quarter of an hour", |case: Case| {
        Request::of(case.request.0).due().map(|due| due.to_string())
    });
}
