//! Table tests of the plan.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde::Deserialize;

use super::Asked;
use super::plan::{is_due, life, objection};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    request: Written<CertificateSigningRequest>,
}

#[test]
fn approved_requests_of_own_signers_are_due() {
    check(CASES, "approved requests of own signers are due", |case: Seen| is_due(&case.request));
}

#[test]
fn a_certificate_lasts_as_long_as_was_asked_within_bounds() {
    check(CASES, "a certificate lasts as long as was asked, within bounds", |case: Seen| {
        life(&case.request).as_secs()
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signing {
    signer: String,
    asked: Called,
    usages: Vec<String>,
}

/// What a request asks to be called.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Called {
    common_name: String,
    organizations: Vec<String>,
    #[serde(default)]
    dns_names: bool,
    #[serde(default)]
    addresses: bool,
    #[serde(default)]
    emails: bool,
    #[serde(default)]
    uris: bool,
}

#[test]
fn signers_object_to_what_is_not_theirs() {
    check(CASES, "signers object to what is not theirs", |case: Signing| {
        let Called { common_name, organizations, dns_names, addresses, emails, uris } = case.asked;
        let asked = Asked { common_name, organizations, dns_names, addresses, emails, uris };
        objection(&case.signer, &asked, &case.usages)
    });
}
