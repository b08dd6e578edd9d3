//! Table tests of what is used.

use std::collections::BTreeMap;

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::ResourceQuota;

use super::plan::{is_open, plan, resources};

fn quota(spec: Value, status: Value) -> ResourceQuota {
    value!({"metadata": {"name": "q", "namespace": "default"}, "spec": spec, "status": status})
        .decode()
        .unwrap()
}

fn pod(cpu: &str, phase: &str) -> Value {
    value!({
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]},
        "status": {"phase": phase, "qosClass": "Burstable"}
    })
}

fn used(quota: &ResourceQuota, pods: Vec<Value>) -> Option<String> {
    let objects = BTreeMap::from([(("", "pods"), pods)]);
    let status = plan(quota, &objects)?;
    assert_eq!(status.hard, quota.spec.as_ref().unwrap().hard);
    let used = status.used.unwrap().into_iter().map(|(name, amount)| format!("{name}={}", amount.0));
    Some(used.collect::<Vec<_>>().join(" "))
}

#[test]
fn what_pods_use_is_summed() {
    let hard = value!({"hard": {"pods": "10", "requests.cpu": "4", "memory": "8Gi", "count/pods": "20"}});
    let pods = || vec![pod("500m", "Running"), pod("1", "Pending"), pod("2", "Succeeded")];
    assert_eq!(
        used(&quota(hard.clone(), value!({})), pods()).as_deref(),
        Some("count/pods=3 memory=2Gi pods=2 requests.cpu=1500m")
    );
    assert_eq!(
        used(&quota(hard.clone(), value!({})), vec![]).as_deref(),
        Some("count/pods=0 memory=0 pods=0 requests.cpu=0")
    );
    // Written otherwise, it is the same.
    let status = value!({
        "hard": (hard["hard"].clone()),
        "used": {"pods": "2", "requests.cpu": "1.5", "memory": "2048Mi", "count/pods": "3"}
    });
    assert_eq!(used(&quota(hard, status), pods()), None);
}

#[test]
fn scopes_and_unknown_names_are_respected() {
    let scoped = quota(value!({"hard": {"pods": "10"}, "scopes": ["BestEffort"]}), value!({}));
    assert_eq!(used(&scoped, vec![pod("1", "Running")]).as_deref(), Some("pods=0"));
    let unknown = quota(
        value!({"hard": {"pods": "10", "count/things.example.com": "1"}}),
        value!({"used": {"count/things.example.com": "1", "secrets": "5"}}),
    );
    assert_eq!(used(&unknown, vec![]).as_deref(), Some("count/things.example.com=1 pods=0"));
    let counted: Vec<_> = resources(&unknown).into_iter().collect();
    assert_eq!(counted, [("", "pods"), ("example.com", "things")]);
}

#[test]
fn a_quota_is_open_until_its_status_speaks_of_it() {
    let spec = value!({"hard": {"pods": "1"}});
    for (status, open) in [
        (value!({}), true),
        (value!({"hard": {"pods": "1"}}), true),
        (value!({"hard": {"pods": "2"}, "used": {"pods": "0"}}), true),
        (value!({"hard": {"pods": "1"}, "used": {"pods": "0"}}), false),
    ] {
        assert_eq!(is_open(&quota(spec.clone(), status.clone())), open, "{status:?}");
    }
}
