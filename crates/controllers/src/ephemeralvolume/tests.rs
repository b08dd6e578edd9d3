//! Table tests of the plan.

use std::sync::Arc;

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde::Deserialize;

use super::plan::{may_have_templates, plan};
use crate::cases::{Written, check};
use crate::volume_claims::ClaimView;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    pod: Written<Pod>,
    claims: Vec<Written<PersistentVolumeClaim>>,
}

#[test]
fn each_template_becomes_a_claim_of_the_pod() {
    check(include_str!("cases.yaml"), "each template becomes a claim of the pod", |case: Case| {
        assert_eq!(may_have_templates(&case.pod.seen()), case.pod.metadata.deletion_timestamp.is_none());
        let claims: Vec<ClaimView> = case.claims.iter().map(Written::seen).collect();
        let find = |name: &str| claims.iter().find(|claim| claim.name == name).cloned().map(Arc::new);
        let steps = plan(&case.pod, find).into_iter().map(|step| match step.claim {
            Ok(claim) => {
                value!({"volume": (step.volume), "create": (Value::from_serialize(&claim).unwrap())})
            }
            Err(problem) => value!({"volume": (step.volume), "problem": (problem.to_string())}),
        });
        steps.collect::<Vec<_>>()
    });
}
