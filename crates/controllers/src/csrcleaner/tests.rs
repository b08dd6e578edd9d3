//! Table tests of when requests go.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde::Deserialize;

use super::plan::Request;
use crate::aging::Aged;
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    request: Written<CertificateSigningRequest>,
}

#[test]
fn requests_go_when_they_are_done_with() {
    check(include_str!("cases.yaml"), "requests go when they are done with", |case: Case| {
        Request::of(case.request.0).due().map(|due| due.to_string())
    });
}
