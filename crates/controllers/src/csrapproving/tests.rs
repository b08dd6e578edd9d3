//! Table tests of what is asked for.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde::Deserialize;

use super::plan::{is_open, plan};
use crate::cases::{Written, check};
use crate::csrsigning::Asked;

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    request: Written<CertificateSigningRequest>,
    asked: Called,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Called {
    common_name: String,
    organizations: Vec<String>,
}

#[test]
fn nodes_may_ask_for_themselves_and_bootstrappers_for_nodes() {
    check(CASES, "nodes may ask for themselves and bootstrappers for nodes", |case: Case| {
        let Called { common_name, organizations } = case.asked;
        let rights = plan(&case.request, &Asked { common_name, organizations, ..Asked::default() });
        rights.iter().map(|right| right.subresource).collect::<Vec<_>>()
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    request: Written<CertificateSigningRequest>,
}

#[test]
fn a_request_is_open_until_somebody_decides() {
    check(CASES, "a request is open until somebody decides", |case: Open| is_open(&case.request));
}
