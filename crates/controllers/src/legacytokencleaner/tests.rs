//! Table tests of which Secrets go.

use std::collections::BTreeSet;

use apimachinery::{Value, value, yaml};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};

use super::plan::{Action, is_stale, is_time, named_by, plan};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

/// The Secret `s` of the account `a` (uid `u`), which was made in 2024 unless `created` says else.
const CASES: &str = r#"
- {what: never used since uses are told, expected: mark}
- {what: used long ago, used: 2025-06-14, expected: mark}
- {what: used a year ago to the day, used: 2025-06-15, expected: keep}
- {what: used lately, used: 2026-06-01, expected: keep}
- {what: whoever wrote that meant something else, used: yesterday, expected: keep}
- {what: made within the year, created: "2025-06-15T12:00:00Z", expected: keep}
- {what: made before it, created: "2025-06-15T11:59:59Z", expected: mark}
- {what: on its way out, deleted: true, expected: keep}
- {what: marked long ago, invalid: 2025-06-14, expected: delete}
- {what: marked a year ago to the day, invalid: 2025-06-15, expected: keep}
- {what: marked today, invalid: 2026-06-15, expected: keep}
- {what: marked with no day, invalid: soon, expected: mark}
- {what: marked and used since, used: 2026-06-01, invalid: 2025-01-01, expected: keep}
- {what: not in its account's list, listed: [t], expected: keep}
- {what: the account is another by now, uid: v, expected: keep}
- {what: the account is gone, account: none, expected: keep}
- {what: a pod mounts it, mounted: [s], expected: keep}
- {what: a pod mounts another, mounted: [t], expected: mark}
"#;

#[test]
fn tokens_that_nobody_uses_are_marked_and_then_go() {
    for case in read(CASES).items() {
        let mut tree = value!({"metadata": {
            "name": "s", "namespace": "ns", "uid": "1", "labels": {},
            "creationTimestamp": (case["created"].as_str().unwrap_or("2024-01-01T00:00:00Z")),
            "annotations": {"kubernetes.io/service-account.name": "a", "kubernetes.io/service-account.uid": "u"}
        }});
        for (told, label) in [
            ("used", "kubernetes.io/legacy-token-last-used"),
            ("invalid", "kubernetes.io/legacy-token-invalid-since"),
        ] {
            if let Some(day) = case[told].as_str() {
                tree.set_at(&["metadata", "labels", label], day);
            }
        }
        if case["deleted"].is_true() {
            tree.set_at(&["metadata", "deletionTimestamp"], "2026-06-15T11:00:00Z");
        }
        let secret: Secret = tree.decode().unwrap();
        let listed = if case["listed"].is_null() { value!(["s"]) } else { case["listed"].clone() };
        let listed: Vec<Value> = listed.items().iter().map(|name| value!({"name": (name.clone())})).collect();
        let account: ServiceAccount = value!({
            "metadata": {"name": "a", "uid": (case["uid"].as_str().unwrap_or("u"))}, "secrets": listed
        })
        .decode()
        .unwrap();
        let account = (case["account"].text() != "none").then_some(&account);
        let mounted: BTreeSet<String> =
            case["mounted"].items().iter().map(|name| name.text().to_owned()).collect();
        let action = is_stale(&secret, now()).then(|| plan(&secret, account, &mounted, now())).flatten();
        let expected = match case["expected"].text() {
            "mark" => Some(Action::Mark("2026-06-15".into())),
            "delete" => Some(Action::Delete),
            _ => None,
        };
        assert_eq!(action, expected, "{}", case["what"].text());
    }
}

#[test]
fn a_year_must_have_been_told_first() {
    for (since, expected) in
        [("2025-06-14", true), ("2025-06-15", false), ("2026-06-01", false), ("soon", false), ("", false)]
    {
        assert_eq!(is_time(since, now()), expected, "{since}");
    }
}

#[test]
fn pods_name_secrets_in_many_places() {
    let pod: Pod = read(
        r#"
spec:
  imagePullSecrets: [{name: pull}]
  initContainers: [{name: i, envFrom: [{secretRef: {name: all}}]}]
  containers:
  - name: c
    env:
    - {name: A, valueFrom: {secretKeyRef: {name: one, key: k}}}
    - {name: B, value: nothing}
  ephemeralContainers: [{name: e, envFrom: [{secretRef: {name: debug}}, {configMapRef: {name: map}}]}]
  volumes:
  - {name: v, secret: {secretName: volume}}
  - {name: p, projected: {sources: [{secret: {name: projected}}, {configMap: {name: map}}]}}
  - {name: x, csi: {driver: d, nodePublishSecretRef: {name: csi}}}
"#,
    )
    .decode()
    .unwrap();
    let names: Vec<String> = named_by(&pod).into_iter().collect();
    assert_eq!(names, ["all", "csi", "debug", "one", "projected", "pull", "volume"]);
}
