//! Table tests of the plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use serde::Deserialize;

use super::plan::{Action, Observed, Remaining, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    namespace: Written<Namespace>,
    #[serde(default)]
    remaining: Vec<Left>,
    #[serde(default)]
    failures: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Left {
    resource: String,
    objects: usize,
    #[serde(default)]
    finalizers: BTreeMap<String, usize>,
}

fn look(case: &Case, namespace: &Namespace) -> Action {
    let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
    let remaining = case.remaining.iter().map(|left| Remaining {
        resource: left.resource.clone(),
        objects: left.objects,
        finalizers: left.finalizers.clone(),
    });
    plan(&Observed { namespace, remaining: remaining.collect(), failures: case.failures.clone(), now })
}

fn conditions(status: &NamespaceStatus) -> Vec<String> {
    let told = status.conditions.iter().flatten().map(|one| {
        let (reason, message) = (one.reason.as_deref().unwrap(), one.message.as_deref().unwrap());
        format!("{} {} {reason}: {message}", one.type_, one.status)
    });
    told.collect()
}

/// What is done; of a status its conditions, and what follows once it is written.
fn shown(case: &Case, namespace: &Namespace) -> Vec<String> {
    match look(case, namespace) {
        Action::Finalize(finalizers) => vec![format!("finalize with [{}]", finalizers.join(", "))],
        Action::Delete => vec!["delete".into()],
        Action::Wait => vec!["wait".into()],
        Action::Status(status) => {
            let mut lines = conditions(&status);
            let written = Namespace { status: Some(*status), ..namespace.clone() };
            lines.extend(shown(case, &written).into_iter().map(|line| format!("then {line}")));
            lines
        }
    }
}

#[test]
fn a_namespace_ends_when_nothing_is_left() {
    check(include_str!("cases.yaml"), "what is left to do in a namespace that ends", |case: Case| {
        shown(&case, &case.namespace)
    });
}
