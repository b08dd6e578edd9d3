//! create, update, patch and delete.

use apimachinery::meta;

use crate::server::Tested;

const MERGE: &str = "application/merge-patch+json";
const MAPS: &str = "/api/v1/namespaces/n/configmaps";
const POD: &str =
    r#"{"metadata":{"name":"p"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i:1"}]}}"#;

#[tokio::test]
async fn a_created_object_has_what_the_server_sets() {
    let server = Tested::new();
    let body = r#"{"metadata":{"name":"a","uid":"x","deletionTimestamp":"2026-01-01T00:00:00Z"},"data":{"k":"v"},"bogus":1}"#;
    let made = server.ask_as("POST", MAPS, &[("user-agent", "tool/v1.2 (linux)")], body).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.warnings, [r#"299 - "unknown field \"bogus\"""#]);
    let object = made.body;
    assert_eq!((object["kind"].text(), object["apiVersion"].text()), ("ConfigMap", "v1"));
    assert_eq!(meta::namespace(&object), "n");
    assert_eq!(object["metadata"]["creationTimestamp"].text(), "2026-01-02T03:04:05Z");
    assert_ne!(meta::uid(&object), "x");
    assert!(!meta::is_terminating(&object));
    let owner = &object["metadata"]["managedFields"][0];
    assert_eq!((owner["manager"].text(), owner["operation"].text()), ("tool", "Update"));
    let read = server.ask("GET", &format!("{MAPS}/a"), "").await;
    assert_eq!(read.body, object);
    let again = server.ask("POST", MAPS, body).await;
    assert_eq!((again.code, again.body["message"].text()), (409, r#"configmaps "a" already exists"#));
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let server = Tested::new();
    let made = server.ask("POST", &format!("{MAPS}?dryRun=All"), r#"{"metadata":{"name":"a"}}"#).await;
    assert_eq!(made.code, 201);
    assert_eq!(server.ask("GET", &format!("{MAPS}/a"), "").await.code, 404);
}

#[tokio::test]
async fn generated_names_differ() {
    let server = Tested::new();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let made = server.ask("POST", MAPS, r#"{"metadata":{"generateName":"g-"}}"#).await;
        names.insert(meta::name(&made.body).to_owned());
    }
    assert_eq!(names.len(), 5);
    // That a name could have been made up is told where one was given, too.
    let both = r#"{"metadata":{"generateName":"g-","name":"both"}}"#;
    assert_eq!(server.ask("POST", MAPS, both).await.code, 201);
    let taken = server.ask("POST", MAPS, both).await;
    assert_eq!(
        taken.body["message"].text(),
        "configmaps \"both\" already exists, the server was not able to generate a unique name for the object"
    );
    assert!(names.iter().all(|name| name.starts_with("g-") && name.len() == 7));
}

#[tokio::test]
async fn a_stale_update_is_a_conflict_and_an_equal_one_changes_nothing() {
    let server = Tested::new();
    let first = server.config_map("a", "").await.body;
    let path = format!("{MAPS}/a");
    let revision = meta::resource_version(&first);
    let body = format!(r#"{{"metadata":{{"name":"a","resourceVersion":"{revision}"}},"data":{{"k":"2"}}}}"#);
    let second = server.ask("PUT", &path, &body).await;
    assert_eq!(second.code, 200, "{}", second.text);
    let stale = server.ask("PUT", &path, &body).await;
    assert_eq!((stale.code, stale.body["reason"].text()), (409, "Conflict"));
    let same = server.patch(MERGE, &path, r#"{"data":{"k":"2"}}"#).await;
    assert_eq!(meta::resource_version(&same.body), meta::resource_version(&second.body));
    let forced = server.ask("PUT", &path, r#"{"metadata":{"name":"a"},"data":{"k":"3"}}"#).await;
    assert_eq!(forced.body["data"]["k"].text(), "3");
}

#[tokio::test]
async fn patches_of_all_three_kinds_change_the_object() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let path = format!("{MAPS}/a");
    let json = r#"[{"op":"add","path":"/data","value":{"a":"1","b":"2"}}]"#;
    assert_eq!(server.patch("application/json-patch+json", &path, json).await.code, 200);
    let merged = server.patch(MERGE, &path, r#"{"data":{"a":null,"c":"3"}}"#).await;
    assert_eq!(merged.body["data"], apimachinery::value!({"b": "2", "c": "3"}));
    let strategic = "application/strategic-merge-patch+json";
    let patched = server.patch(strategic, &path, r#"{"data":{"$patch":"replace","z":"1"}}"#).await;
    assert_eq!(patched.body["data"], apimachinery::value!({"z": "1"}));
    assert_eq!(server.patch("text/plain", &path, "x").await.code, 415);
    assert_eq!(server.patch(MERGE, &format!("{MAPS}/none"), "{}").await.code, 404);
}

#[tokio::test]
async fn status_and_spec_are_written_apart_and_the_generation_follows_the_spec() {
    let server = Tested::new();
    let pods = "/api/v1/namespaces/n/pods";
    let made = server
        .ask("POST", pods, &POD.replace("\"spec\"", "\"status\":{\"phase\":\"Failed\"},\"spec\""))
        .await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.body["status"]["phase"].text(), "");
    assert_eq!(meta::generation(&made.body), 1);
    let path = format!("{pods}/p");
    let status = server
        .patch(MERGE, &format!("{path}/status"), r#"{"status":{"phase":"Running"},"spec":{"hostname":"x"}}"#)
        .await;
    assert_eq!(status.body["status"]["phase"].text(), "Running", "{}", status.text);
    assert!(status.body["spec"]["hostname"].is_null());
    assert_eq!(meta::generation(&status.body), 1);
    let whole = POD.replace("\"spec\"", "\"status\":{\"phase\":\"Running\",\"reason\":\"r\"},\"spec\"");
    let put = server.ask("PUT", &format!("{path}/status"), &whole).await;
    assert_eq!((put.code, put.body["status"]["reason"].text()), (200, "r"), "{}", put.text);
    assert_eq!(meta::generation(&put.body), 1);
    let spec = server.patch(MERGE, &path, r#"{"status":{"phase":"Failed"},"spec":{"hostname":"x"}}"#).await;
    assert_eq!(spec.body["status"]["phase"].text(), "Running");
    assert_eq!(meta::generation(&spec.body), 2);
}

#[tokio::test]
async fn graceful_deletion_marks_first_and_ends_when_asked_with_zero() {
    let server = Tested::new();
    let pods = "/api/v1/namespaces/n/pods";
    server.ask("POST", pods, POD).await;
    let path = format!("{pods}/p");
    let marked = server.ask("DELETE", &path, "").await;
    assert_eq!(
        marked.body["metadata"]["deletionTimestamp"].text(),
        "2026-01-02T03:04:35Z",
        "{}",
        marked.text
    );
    let shorter = server.ask("DELETE", &format!("{path}?gracePeriodSeconds=5"), "").await;
    assert_eq!(shorter.body["metadata"]["deletionGracePeriodSeconds"].as_i64(), Some(5));
    let longer = server.ask("DELETE", &format!("{path}?gracePeriodSeconds=50"), "").await;
    assert_eq!(longer.body["metadata"]["deletionGracePeriodSeconds"].as_i64(), Some(5));
    let gone = server.ask("DELETE", &format!("{path}?gracePeriodSeconds=0"), "").await;
    assert_eq!((gone.code, gone.body["kind"].text()), (200, "Pod"));
    assert_eq!(server.ask("GET", &path, "").await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_removed() {
    let server = Tested::new();
    let body = r#"{"metadata":{"name":"f","finalizers":["example.com/hold"]}}"#;
    server.ask("POST", MAPS, body).await;
    let path = format!("{MAPS}/f");
    let marked = server.ask("DELETE", &path, "").await;
    assert!(meta::is_terminating(&marked.body), "{}", marked.text);
    assert_eq!(server.ask("GET", &path, "").await.code, 200);
    let released = server.patch(MERGE, &path, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!(released.code, 200, "{}", released.text);
    assert_eq!(server.ask("GET", &path, "").await.code, 404);
}

#[tokio::test]
async fn propagation_policies_become_finalizers() {
    let server = Tested::new();
    for (policy, finalizer) in [("Orphan", "orphan"), ("Foreground", "foregroundDeletion")] {
        server.config_map("o", "").await;
        let path = format!("{MAPS}/o");
        let marked = server.ask("DELETE", &path, &format!(r#"{{"propagationPolicy":"{policy}"}}"#)).await;
        assert_eq!(meta::finalizers(&marked.body).collect::<Vec<_>>(), [finalizer], "{}", marked.text);
        server.patch(MERGE, &path, r#"{"metadata":{"finalizers":null}}"#).await;
        assert_eq!(server.ask("GET", &path, "").await.code, 404);
    }
}

/// What may be asked of a deletion, in the query or the body, and the code of
/// the answer; the object is held by a finalizer.
#[tokio::test]
async fn options_of_deletions_are_read_and_checked() {
    let server = Tested::new();
    let cases = [
        ("orphanDependents=false", "", 202),
        ("orphanDependents=true", "", 200),
        ("propagationPolicy=Background", "", 200),
        ("propagationPolicy=", "", 422),
        ("gracePeriodSeconds=", "", 400),
        ("uid=other", "", 409),
        ("resourceVersion=1", "", 409),
        ("uid=&resourceVersion=", "", 200),
        ("ignoreStoreReadErrorWithClusterBreakingPotential=true", "", 409),
        // The query is not looked at where there is a body.
        ("uid=other", "{}", 200),
        ("", r#"{"orphanDependents":false}"#, 202),
        ("", r#"{"orphanDependents":false,"propagationPolicy":"Orphan"}"#, 422),
        ("", r#"{"propagationPolicy":""}"#, 422),
        ("", r#"{"ignoreStoreReadErrorWithClusterBreakingPotential":true}"#, 409),
        ("", r#"{"ignoreStoreReadErrorWithClusterBreakingPotential":true,"gracePeriodSeconds":0}"#, 422),
        ("", r#"{"kind":"Status","apiVersion":"v1"}"#, 400),
        ("", r#"{"kind":"DeleteOptions","apiVersion":"apps/v1"}"#, 200),
    ];
    for (at, (query, body, code)) in cases.into_iter().enumerate() {
        let held = format!(r#"{{"metadata":{{"name":"h{at}","finalizers":["example.com/hold"]}}}}"#);
        assert_eq!(server.ask("POST", MAPS, &held).await.code, 201);
        let answer = server.ask("DELETE", &format!("{MAPS}/h{at}?{query}"), body).await;
        assert_eq!(answer.code, code, "{query} {body}: {}", answer.text);
    }
    let all = "ignoreStoreReadErrorWithClusterBreakingPotential=true";
    assert_eq!(server.ask("DELETE", &format!("{MAPS}?{all}"), "").await.code, 422);
}

#[tokio::test]
async fn who_wrote_replicas_is_told_through_the_scale_too() {
    let server = Tested::new();
    let path = "/apis/apps/v1/namespaces/n/deployments";
    let body = r#"{"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}}}}"#;
    assert_eq!(server.ask("POST", &format!("{path}?fieldManager=one"), body).await.code, 201);
    let scale = format!("{path}/d/scale");
    let written =
        server.patch(MERGE, &format!("{scale}?fieldManager=two"), r#"{"spec":{"replicas":3}}"#).await;
    assert_eq!(written.code, 200, "{}", written.text);
    let read = server.ask("GET", &format!("{path}/d"), "").await.body;
    let owners: Vec<String> = read["metadata"]["managedFields"]
        .items()
        .iter()
        .map(|entry| {
            let has = !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null();
            format!("{} {} {has}", entry["manager"].text(), entry["subresource"].text())
        })
        .collect();
    assert_eq!(owners, ["two scale true", "one  false"]);
    for (body, code) in [
        (r#"{"metadata":{"namespace":"other"}}"#, 400),
        (r#"{"metadata":{"uid":"other"}}"#, 409),
        (r#"{"metadata":{"name":"other"}}"#, 400),
    ] {
        assert_eq!(server.patch(MERGE, &scale, body).await.code, code, "{body}");
    }
}

#[tokio::test]
async fn owners_are_forgotten_where_that_is_asked_for() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let path = format!("{MAPS}/a");
    for asked in ["[]", "[{}]"] {
        let owned = server.patch(MERGE, &path, r#"{"metadata":{"labels":{"l":"v"}}}"#).await;
        assert_eq!(owned.code, 200, "{}", owned.text);
        let put = format!(r#"{{"metadata":{{"name":"a","managedFields":{asked}}},"data":{{"k":"v"}}}}"#);
        let forgotten = server.ask("PUT", &path, &put).await;
        assert_eq!(forgotten.code, 200, "{}", forgotten.text);
        assert!(forgotten.body["metadata"]["managedFields"].is_null(), "{}", forgotten.text);
    }
}

#[tokio::test]
async fn preconditions_protect_from_deleting_another_object() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let path = format!("{MAPS}/a");
    let wrong = server.ask("DELETE", &path, r#"{"preconditions":{"uid":"other"}}"#).await;
    assert_eq!(wrong.code, 409, "{}", wrong.text);
    let gone = server.ask("DELETE", &path, "").await;
    assert_eq!((gone.code, gone.body["status"].text()), (200, "Success"));
    assert_eq!(gone.body["details"]["kind"].text(), "configmaps");
}

#[tokio::test]
async fn scale_reads_and_writes_replicas_alone() {
    let server = Tested::new();
    let path = "/apis/apps/v1/namespaces/n/deployments";
    let body = r#"{"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}}}}"#;
    assert_eq!(server.ask("POST", path, body).await.code, 201);
    let scale = server.ask("GET", &format!("{path}/d/scale"), "").await;
    assert_eq!(scale.body["spec"]["replicas"].as_i64(), Some(2), "{}", scale.text);
    assert_eq!(scale.body["status"]["selector"].text(), "a=b");
    let changed = server.patch(MERGE, &format!("{path}/d/scale"), r#"{"spec":{"replicas":5}}"#).await;
    assert_eq!(changed.body["spec"]["replicas"].as_i64(), Some(5), "{}", changed.text);
    let read = server.ask("GET", &format!("{path}/d"), "").await;
    assert_eq!((read.body["spec"]["replicas"].as_i64(), meta::generation(&read.body)), (Some(5), 2));
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_and_change_nothing() {
    let server = Tested::new();
    let cases = [
        (r#"{"kind":"Secret","metadata":{"name":"x"}}"#, 400),
        (r#"{"apiVersion":"v2","metadata":{"name":"x"}}"#, 400),
        (r#"{"metadata":{"name":"x","namespace":"other"}}"#, 400),
        (r#"{"metadata":{"name":"x"}"#, 400),
        (r#"{"metadata":{}}"#, 422),
        (r#"{"metadata":{"name":"Not Good"}}"#, 422),
        (r#"{"metadata":{"name":"x","resourceVersion":"5"}}"#, 500),
        (r#"{"metadata":{"name":"x"},"data":{"k":1}}"#, 400),
    ];
    // What is no revision, or none, is no revision.
    for revision in ["0", "x"] {
        let body = format!(r#"{{"metadata":{{"name":"r{revision}","resourceVersion":"{revision}"}}}}"#);
        assert_eq!(server.ask("POST", MAPS, &body).await.code, 201, "{revision}");
        server.ask("DELETE", &format!("{MAPS}/r{revision}"), "").await;
    }
    for (body, code) in cases {
        let answer = server.ask("POST", MAPS, body).await;
        assert_eq!((answer.code, answer.body["kind"].text()), (code, "Status"), "{body}: {}", answer.text);
    }
    let large = format!(r#"{{"metadata":{{"name":"x"}},"data":{{"k":"{}"}}}}"#, "x".repeat(3 << 20));
    assert_eq!(server.ask("POST", MAPS, &large).await.code, 413);
    assert_eq!(server.ask("GET", MAPS, "").await.body["items"].items().len(), 0);
}

#[tokio::test]
async fn yaml_and_protobuf_go_in_and_out() {
    let server = Tested::new();
    let yaml = "metadata:\n  name: m\ndata:\n  k: \"1\"\n";
    let made = server
        .ask_as("POST", MAPS, &[("content-type", "application/yaml"), ("accept", "application/yaml")], yaml)
        .await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert!(made.text.contains("kind: ConfigMap"), "{}", made.text);
    let proto = server
        .ask_as("GET", &format!("{MAPS}/m"), &[("accept", "application/vnd.kubernetes.protobuf")], "")
        .await;
    assert!(proto.text.starts_with("k8s"));
}

#[tokio::test]
async fn a_deletion_without_a_body_is_of_no_type() {
    let server = Tested::new();
    server.ask("POST", MAPS, r#"{"metadata":{"name":"a"}}"#).await;
    let gone = server.ask_as("DELETE", &format!("{MAPS}/a"), &[("content-type", "text/plain")], "").await;
    assert_eq!(gone.code, 200, "{}", gone.text);
    let odd = server.ask("DELETE", &format!("{MAPS}?labelSelector=a"), r#"{"kind":"Foo"}"#).await;
    assert_eq!(
        (odd.code, odd.body["message"].text()),
        (
            400,
            "no kind \"Foo\" is registered for version \"meta.k8s.io/v1\" in scheme \"pkg/runtime/scheme.go:111\""
        )
    );
}
