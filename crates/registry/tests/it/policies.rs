//! MutatingAdmissionPolicy: what its mutations make, and what becomes of a
//! write where one cannot be made.

use apimachinery::{Value, value};
use client::Resource;

use testapi::Client;

use crate::cluster::{Cluster, PODS};

const POLICIES: Resource = Resource::new("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies");
const BINDINGS: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings");
const ACCOUNTS: Resource = Resource::new("", "v1", "serviceaccounts");

fn apply(expression: &str) -> Value {
    value!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn json_patch(expression: &str) -> Value {
    value!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

/// A policy for pods, and its binding.
async fn enact(admin: &Client, name: &str, failure: &str, mutations: Vec<Value>) {
    let policy = value!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": failure,
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
            ]},
            "mutations": mutations,
        },
    });
    admin.create(&POLICIES, "", policy).await.expect("a policy");
    let binding = value!({"metadata": {"name": name}, "spec": {"policyName": name}});
    admin.create(&BINDINGS, "", binding).await.expect("a binding");
}

async fn run(failure: &str, mutations: Vec<Value>) -> Result<Value, String> {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.create(&ACCOUNTS, "default", value!({"metadata": {"name": "default"}})).await.expect("an account");
    enact(&admin, "p", failure, mutations).await;
    let pod = value!({
        "metadata": {"name": "a", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "one", "image": "i", "env": [{"name": "A", "value": "1"}]}]},
    });
    admin.create(&PODS, "default", pod).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn configurations_are_merged_by_the_keys_of_lists() {
    let expression = r#"Object{
        metadata: Object.metadata{labels: {"added": "yes"}},
        spec: Object.spec{containers: [
            Object.spec.containers{name: "one", env: [Object.spec.containers.env{name: "B", value: "2"}]},
            Object.spec.containers{name: "two", image: "j"}
        ]}
    }"#;
    let made = run("Fail", vec![apply(expression)]).await.expect("a pod");
    assert_eq!(made["metadata"]["labels"], value!({"added": "yes", "app": "web"}));
    let containers = made["spec"]["containers"].items();
    assert_eq!(containers.len(), 2);
    assert_eq!(containers[0]["image"].text(), "i");
    let names: Vec<&str> = containers[0]["env"].items().iter().map(|env| env["name"].text()).collect();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(containers[1]["name"].text(), "two");
}

#[tokio::test]
async fn mutations_that_cannot_be_made_refuse_the_write_in_upstreams_words() {
    let denied = "policy 'p' with binding 'p' denied request: ";
    for (mutation, why) in [
        (
            apply(
                r#"Object{spec: Object.spec{containers: [Object.spec.containers{name: "one", args: ["x"]}]}}"#,
            ),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
        ),
        (
            apply(r#"Object{spec: Object.spec{colour: "red"}}"#),
            "error applying patch: failed to convert patch object to typed object: .spec.colour: field not declared in schema",
        ),
        (
            apply(r#"Object{spec: Object.status{phase: "x"}}"#),
            "type mismatch: unexpected type name \"Object.status\", expected \"Object.spec\", which matches field name path from root Object type",
        ),
        (
            json_patch(r#"[JSONPatch{op: "add", path: "/spec/none/x", value: "y"}]"#),
            "JSON Patch: add operation does not apply: doc is missing path: \"/spec/none/x\": missing value",
        ),
    ] {
        let refused = run("Fail", vec![mutation]).await.expect_err(why);
        assert!(refused.contains(&format!("{denied}{why}")), "{refused}");
    }
}

#[tokio::test]
async fn one_failure_that_is_ignored_leaves_the_other_mutations() {
    let made = run(
        "Ignore",
        vec![
            apply(r#"Object{metadata: Object.metadata{labels: {"first": "1"}}}"#),
            apply(r#"Object{spec: Object.spec{colour: "red"}}"#),
            apply(r#"Object{metadata: Object.metadata{labels: {"last": "1"}}}"#),
        ],
    )
    .await
    .expect("a pod");
    assert_eq!(made["metadata"]["labels"], value!({"app": "web", "first": "1", "last": "1"}));
}

#[tokio::test]
async fn a_patch_whose_test_fails_changes_nothing() {
    let patch = r#"[
        JSONPatch{op: "add", path: "/metadata/labels/x", value: "1"},
        JSONPatch{op: "test", path: "/metadata/labels/app", value: "other"}
    ]"#;
    let made = run("Fail", vec![json_patch(patch)]).await.expect("a pod");
    assert_eq!(made["metadata"]["labels"], value!({"app": "web"}));
}

#[tokio::test]
async fn a_patch_may_not_bring_unknown_fields_whatever_the_policy_says() {
    let patch = r#"[JSONPatch{op: "add", path: "/spec/colour", value: "red"}]"#;
    let refused = run("Ignore", vec![json_patch(patch)]).await.expect_err("an unknown field");
    assert!(refused.contains("strict decoding error: unknown field \"spec.colour\""), "{refused}");
}
