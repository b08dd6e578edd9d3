//! Table tests of the printers.

use apimachinery::{Value, value};
use jiff::Timestamp;

use super::*;

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn cells(printer: fn(&Value, Timestamp) -> Vec<Value>, object: Value) -> Vec<String> {
    printer(&object, now())
        .iter()
        .map(|cell| match cell {
            Value::String(text) => text.clone(),
            other => apimachinery::json::to_string(other),
        })
        .collect()
}

#[test]
fn the_status_of_a_pod_is_the_worst_of_its_containers() {
    let terminated = |code: i64, reason: &str| value!({"terminated": {"exitCode": code, "reason": reason}});
    for (status, shown) in [
        (value!({"phase": "Pending"}), "Pending"),
        (
            value!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "SchedulingGated",
        ),
        (
            value!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
            "Init:0/2",
        ),
        (
            value!({"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "state": (terminated(0, "Completed"))}, {"name": "j", "state": (terminated(2, "Error"))}
            ]}),
            "Init:Error",
        ),
        (
            value!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1, "signal": 9}}}]}),
            "Init:Signal:9",
        ),
        (
            value!({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            "ImagePullBackOff",
        ),
        (value!({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (
            value!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
                {"name": "c", "state": (terminated(0, "Completed"))}, {"name": "d", "ready": true, "state": {"running": {}}}
            ]}),
            "Running",
        ),
    ] {
        let pod = value!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c"}, {"name": "d"}], "initContainers": [{"name": "i"}, {"name": "j"}]
        }, "status": status});
        assert_eq!(cells(pod::pod, pod)[2], shown);
    }
}

#[test]
fn restarts_tell_the_last_one() {
    let pod = value!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"containers": [{"name": "c"}], "nodeName": "n"},
    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.9"}], "containerStatuses": [{
        "name": "c", "ready": true, "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:55:00Z"}}
    }]}});
    assert_eq!(
        cells(pod::pod, pod),
        ["p", "1/1", "Running", "2 (5m ago)", "60m", "10.0.0.9", "n", "<none>", "<none>"]
    );
}

#[test]
fn a_deleted_pod_is_terminating() {
    let pod = value!({"metadata": {"name": "p", "deletionTimestamp": NOW}, "status": {"phase": "Running"}});
    assert_eq!(cells(pod::pod, pod)[2], "Terminating");
}

#[test]
fn services_tell_where_they_are_reached() {
    for (spec, status, external, ports) in [
        (
            value!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}),
            value!({}),
            "<none>",
            "80:30080/TCP",
        ),
        (value!({"type": "LoadBalancer"}), value!({}), "<pending>", "<none>"),
        (
            value!({"type": "LoadBalancer", "externalIPs": ["1.1.1.1"]}),
            value!({"loadBalancer": {"ingress": [{"hostname": "b.example"}, {"ip": "2.2.2.2"}]}}),
            "2.2.2.2,b.example,1.1.1.1",
            "<none>",
        ),
        (value!({"type": "ExternalName", "externalName": "a.example"}), value!({}), "a.example", "<none>"),
    ] {
        let shown =
            cells(network::service, value!({"metadata": {"name": "s"}, "spec": spec, "status": status}));
        assert_eq!((shown[3].as_str(), shown[4].as_str()), (external, ports));
    }
}

#[test]
fn nodes_tell_their_roles_and_state() {
    let node = value!({"metadata": {"name": "n", "labels": {
        "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "worker"
    }}, "status": {"conditions": [{"type": "Ready", "status": "False"}], "addresses": [
        {"type": "InternalIP", "address": "192.0.2.1"}]}});
    let shown = cells(node::node, node);
    assert_eq!(shown[1..3], ["NotReady", "control-plane,worker"]);
    assert_eq!(shown[5..7], ["192.0.2.1", "<none>"]);
}

#[test]
fn jobs_tell_what_they_did_and_for_how_long() {
    let job = value!({"metadata": {"name": "j"}, "spec": {"parallelism": 3}, "status": {
        "succeeded": 1, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:30Z",
        "conditions": [{"type": "Complete", "status": "True"}]
    }});
    assert_eq!(cells(workloads::job, job)[1..4], ["Complete", "1/1 of 3", "90s"]);
}

#[test]
fn endpoints_are_three_and_a_number() {
    let slice = value!({"metadata": {"name": "e"}, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [
        {"addresses": ["1.1.1.1"]}, {"addresses": ["1.1.1.2"]}, {"addresses": ["1.1.1.3"]}, {"addresses": ["1.1.1.4"]}
    ]});
    assert_eq!(cells(network::endpoint_slice, slice)[2..4], ["80", "1.1.1.1,1.1.1.2,1.1.1.3 + 1 more..."]);
    let endpoints = value!({"metadata": {"name": "e"}, "subsets": [
        {"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 443}]}]});
    assert_eq!(cells(network::endpoints, endpoints)[1], "[fd00::1]:443");
}

#[test]
fn metrics_tell_what_is_and_what_should_be() {
    let autoscaler = value!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
        {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
        {"type": "External", "external": {"target": {"value": "7"}}}
    ]}, "status": {"currentMetrics": [{"resource": {"current": {"averageUtilization": 20}}}]}});
    assert_eq!(cells(scaling::autoscaler, autoscaler)[2], "cpu: 20%/50%, <unknown>/10 + 1 more...");
}

#[test]
fn quotas_tell_requests_and_limits_apart() {
    let quota = value!({"metadata": {"name": "q"}, "status": {
        "hard": {"pods": "2", "limits.cpu": "4", "cpu": "1"}, "used": {"pods": "1"}
    }});
    assert_eq!(cells(config::resource_quota, quota)[1..3], ["cpu: 0/1, pods: 1/2", "limits.cpu: 0/4"]);
}

#[test]
fn a_pod_that_has_ended_has_a_condition() {
    for (phase, reason) in [("Succeeded", "Succeeded"), ("Failed", "Failed"), ("Running", ""), ("", "")] {
        let conditions = pod::conditions(&value!({"status": {"phase": phase}}));
        assert_eq!(conditions.first().map_or("", |condition| condition["reason"].text()), reason, "{phase}");
    }
}

#[test]
fn one_class_is_the_default_and_every_ingress_class_that_says_so() {
    let class = |name: &str, created: &str, default: &str| {
        value!({"metadata": {"name": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default,
                "ingressclass.kubernetes.io/is-default-class": default}}})
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z");
    for (classes, default) in [
        (vec![class("a", old, "true"), class("b", new, "true"), class("c", new, "false")], Some(1)),
        (vec![class("b", new, "true"), class("a", new, "true")], Some(1)),
        (vec![class("a", old, "false")], None),
        (vec![], None),
    ] {
        assert_eq!(storage::default_class(&mut classes.clone()), default, "{classes:?}");
    }
    assert_eq!(cells(storage::storage_class, class("a", old, "true"))[0], "a");
    assert_eq!(cells(network::ingress_class, class("a", old, "true"))[0], "a (default)");
}

#[test]
fn flow_schemas_stand_in_the_order_of_their_precedence() {
    let schema = |name: &str, precedence: i64| value!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}});
    let mut schemas = [schema("c", 9), schema("b", 2), schema("a", 9)];
    assert_eq!(cluster::by_precedence(&mut schemas), None);
    assert_eq!(schemas.map(|schema| apimachinery::meta::name(&schema).to_owned()), ["b", "a", "c"]);
}

#[test]
fn a_binding_tells_its_parameter() {
    for (parameter, told) in [
        (Value::Null, "<unset>"),
        (value!({"name": "x", "namespace": "y"}), "y/x"),
        (value!({"name": "x"}), "*/x"),
    ] {
        let binding = value!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "paramRef": parameter}});
        assert_eq!(cells(cluster::policy_binding, binding)[2], told);
    }
}

#[test]
fn definitions_show_what_they_serve() {
    let definition = value!({"metadata": {"name": "things.ex.com"}, "spec": {"scope": "Cluster", "versions": [
        {"name": "v2", "served": true, "storage": false}, {"name": "v1", "served": true, "storage": true},
        {"name": "v0", "served": false, "storage": false}
    ]}});
    assert_eq!(cells(cluster::definition, definition)[2], "v1(storage),v2");
}
