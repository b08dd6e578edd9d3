//! Table tests of the plan.

use k8s_openapi::api::core::v1::Namespace;
use serde::Deserialize;

use super::plan::{Observed, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    namespace: Written<Namespace>,
    has_account: bool,
}

#[test]
fn every_living_namespace_has_one() {
    check(include_str!("cases.yaml"), "accounts of a namespace", |case: Case| {
        let account = plan(&Observed { namespace: &case.namespace, has_account: case.has_account });
        let told = account.map(|account| {
            let metadata = account.metadata;
            format!("create serviceaccount {}/{}", metadata.namespace.unwrap(), metadata.name.unwrap())
        });
        Vec::from_iter(told)
    });
}
