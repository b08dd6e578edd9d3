//! Definitions of custom resources, from their making to their end.

use std::time::Duration;

use apimachinery::{Value, value};
use client::Resource;

use testapi::Client;

use crate::cluster::Cluster;

const DEFINITIONS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const NAME: &str = "things.ex.com";

/// The condition `kind` of the definition, once its reason is `reason`.
async fn told(admin: &Client, kind: &str, reason: &str) -> Value {
    let wait = async {
        loop {
            let definition = admin.get(&DEFINITIONS, "", NAME).await.expect("a definition");
            let conditions = definition["status"]["conditions"].items();
            let found = conditions.iter().find(|condition| condition["type"].text() == kind);
            if found.is_some_and(|condition| condition["reason"].text() == reason) {
                return definition;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the condition")
}

#[tokio::test]
async fn a_definition_that_others_hold_has_lost_its_objects() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let schema = value!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = value!({"metadata": {"name": NAME, "finalizers": ["a.b/c"]}, "spec": {
        "group": "ex.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    admin.create(&DEFINITIONS, "", definition).await.expect("a definition");
    told(&admin, "Established", "InitialNamesAccepted").await;

    let marked = admin.delete(&DEFINITIONS, "", NAME).await.expect("marked");
    let finalizers = value!(["a.b/c", "customresourcecleanup.apiextensions.k8s.io"]);
    assert_eq!(marked["metadata"]["finalizers"], finalizers);
    assert_eq!(marked["metadata"]["generation"], value!(1));
    assert!(marked["metadata"]["deletionGracePeriodSeconds"].is_null());

    let done = told(&admin, "Terminating", "InstanceDeletionCompleted").await;
    assert_eq!(done["metadata"]["finalizers"], value!(["a.b/c"]));
    // Only who deletes it again tells of grace.
    assert!(done["metadata"]["deletionGracePeriodSeconds"].is_null());
    let again = admin.delete(&DEFINITIONS, "", NAME).await.expect("held");
    assert_eq!(again["metadata"]["deletionGracePeriodSeconds"], value!(0));
}
