//! Table tests of what the signer's bundles need.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;

use super::plan::{Action, name_of, plan};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// Bundles by name with their content, where `own` is the name for the authority PEM.
const CASES: &str = r#"
- {what: there is none, bundles: {}, expected: [create own]}
- {what: it is there, bundles: {own: PEM}, expected: []}
- {what: somebody changed it, bundles: {own: else}, expected: [update own]}
- {what: the authority is new, bundles: {old: OLD}, expected: [create own, delete old]}
- {what: the content counts by its name alone, bundles: {own: PEM, twin: PEM}, expected: [delete twin]}
"#;

#[test]
fn the_signer_has_one_bundle() {
    let own = name_of("PEM");
    for case in read(CASES).items() {
        let bundles: Vec<ClusterTrustBundle> = case["bundles"]
            .members()
            .map(|(name, content)| {
                let name = if name == "own" { own.as_str() } else { name };
                value!({"metadata": {"name": name}, "spec": {"trustBundle": (content.clone())}})
                    .decode()
                    .unwrap()
            })
            .collect();
        let shown: Vec<String> = plan(bundles.iter(), "PEM")
            .iter()
            .map(|action| match action {
                Action::Create(bundle) | Action::Update(bundle) => {
                    assert_eq!(bundle.spec.trust_bundle, "PEM");
                    let verb = if matches!(action, Action::Create(_)) { "create" } else { "update" };
                    format!("{verb} {}", bundle.metadata.name.as_deref().unwrap().replace(&own, "own"))
                }
                Action::Delete(name) => format!("delete {name}"),
            })
            .collect();
        let expected: Vec<&str> = case["expected"].items().iter().map(|text| text.text()).collect();
        assert_eq!(shown, expected, "{}", case["what"].text());
    }
}

#[test]
fn a_name_tells_signer_and_content() {
    // sha256 of "PEM" begins so.
    assert_eq!(name_of("PEM"), "kubernetes.io:kube-apiserver-serving:384fb9a44fabe158be2757b9");
}
