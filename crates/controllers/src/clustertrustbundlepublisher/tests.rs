//! Table tests of what the signer's bundles need.

use std::collections::BTreeMap;

use apimachinery::value;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use serde::Deserialize;

use super::plan::{Action, name_of, plan};
use crate::cases::check;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    bundles: BTreeMap<String, String>,
}

#[test]
fn the_signer_has_one_bundle() {
    let own = name_of("PEM");
    check(include_str!("cases.yaml"), "the signer has one bundle", |case: Case| {
        let bundle = |(name, content): (&String, &String)| -> ClusterTrustBundle {
            let name = if name == "own" { &own } else { name };
            value!({"metadata": {"name": (name.as_str())}, "spec": {"trustBundle": (content.as_str())}})
                .decode()
                .unwrap()
        };
        let bundles: Vec<_> = case.bundles.iter().map(bundle).collect();
        let shown = |action: &Action| match action {
            Action::Create(bundle) | Action::Update(bundle) => {
                assert_eq!(bundle.spec.trust_bundle, "PEM");
                let verb = if matches!(action, Action::Create(_)) { "create" } else { "update" };
                format!("{verb} {}", bundle.metadata.name.as_deref().unwrap().replace(&own, "own"))
            }
            Action::Delete(name) => format!("delete {name}"),
        };
        plan(bundles.iter(), "PEM").iter().map(shown).collect::<Vec<_>>()
    });
}

#[test]
fn a_name_tells_signer_and_content() {
    // sha256 of "PEM" begins so.
    assert_eq!(name_of("PEM"), "kubernetes.io:kube-apiserver-serving:384fb9a44fabe158be2757b9");
}
