//! Table tests of pod validation.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, value};

use super::*;

/// A pod that is right, with `fields` in its spec.
fn pod(fields: Value) -> Value {
    let mut pod = value!({"metadata": {"name": "p"}, "spec": {
        "containers": vec![container(value!({}))], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default", "terminationGracePeriodSeconds": 30, "securityContext": {}
    }});
    for (name, value) in fields.members() {
        pod.entry("spec").set(name.to_owned(), value.clone());
    }
    pod
}

fn container(fields: Value) -> Value {
    let mut container = value!({
        "name": "c", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"
    });
    for (name, value) in fields.members() {
        container.set(name.to_owned(), value.clone());
    }
    container
}

fn told(errors: Errors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_pod_is_right() {
    assert_eq!(told(create(&pod(value!({})))), Vec::<String>::new());
}

#[test]
fn every_part_names_its_field() {
    let with = |fields: Value| pod(value!({"containers": vec![container(fields)]}));
    for (pod, expected) in [
        (pod(value!({"containers": []})), "spec.containers: Required value"),
        (
            pod(value!({"restartPolicy": "Sometimes"})),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            with(value!({"ports": [{"containerPort": 70000, "protocol": "TCP"}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            with(
                value!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.phase"}}}]}),
            ),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \
             \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \
             \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ),
        (
            with(value!({"livenessProbe": {"exec": {"command": []}}})),
            "spec.containers[0].livenessProbe.exec.command: Required value",
        ),
        (
            with(value!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
             terminationGracePeriodSeconds (30)",
        ),
        (
            with(value!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            pod(value!({"volumes": [{"name": "v"}]})),
            "spec.volumes[0]: Required value: must specify a volume type",
        ),
        (
            pod(value!({"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 512}}]})),
            "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ),
        (
            pod(value!({"securityContext": {"runAsGroup": -2}})),
            "spec.securityContext.runAsGroup: Invalid value: -2: must be between 0 and 2147483647, inclusive",
        ),
        (
            pod(value!({"tolerations": [{"operator": "Equal", "key": "k", "effect": "Maybe"}]})),
            "spec.tolerations[0].effect: Unsupported value: \"Maybe\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
        ),
        (
            pod(value!({"topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 0}]})),
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
        ),
        (
            pod(value!({"hostIPC": true, "hostUsers": false})),
            "spec.HostIPC: Forbidden: when `hostUsers` is false",
        ),
        (
            pod(value!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}})),
            "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
        ),
        (
            pod(value!({"nodeName": "n", "schedulingGates": [{"name": "a.b/c"}]})),
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
    ] {
        assert_eq!(told(create(&pod)), [expected]);
    }
}

#[test]
fn a_running_pod_changes_images_and_little_more() {
    let old = pod(value!({"activeDeadlineSeconds": 20}));
    let same = |fields: Value| {
        let mut fields = fields;
        if fields["activeDeadlineSeconds"].is_null() {
            fields.set("activeDeadlineSeconds", 20);
        }
        pod(fields)
    };
    for (new, begin) in [
        (same(value!({"containers": vec![container(value!({"image": "other"}))]})), ""),
        (same(value!({"activeDeadlineSeconds": 5})), ""),
        (same(value!({"tolerations": [{"operator": "Exists"}]})), ""),
        (
            same(value!({"activeDeadlineSeconds": 25})),
            "spec.activeDeadlineSeconds: Invalid value: 25: must be less than or equal to previous value",
        ),
        (
            same(value!({"containers": vec![container(value!({})), container(value!({"name": "d"}))]})),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (same(value!({"hostname": "h"})), "spec: Forbidden: pod updates may not change fields other than"),
    ] {
        let told = told(update(&new, &old));
        match begin {
            "" => assert_eq!(told, Vec::<String>::new()),
            begin => assert!(told.len() == 1 && told[0].starts_with(begin), "{told:?}"),
        }
    }
}

#[test]
fn templates_are_named_where_they_stand() {
    let mut errors = Errors::new();
    let object = value!({"metadata": {"labels": {"a b": "c"}}, "spec": {"containers": []}});
    template(&object, &Path::Root.child("spec").child("template"), &mut errors);
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert!(fields.contains(&"spec.template.labels"), "{fields:?}");
    assert!(fields.contains(&"spec.template.spec.containers"), "{fields:?}");
}

#[test]
fn duplicates_are_warned_of() {
    let told = pod_warnings(&pod(value!({"imagePullSecrets": [{"name": ""}, {"name": "a"}, {"name": "a"}]})));
    assert_eq!(
        told,
        [
            "spec.imagePullSecrets[2].name: duplicate name \"a\"",
            "spec.imagePullSecrets[0].name: invalid empty name \"\""
        ]
    );
}

#[test]
fn what_hides_something_is_warned_of() {
    let with = |fields: Value| pod(value!({"containers": vec![container(fields)]}));
    let files = |paths: &[&str]| {
        let items: Vec<Value> = paths.iter().map(|path| value!({"key": "k", "path": *path})).collect();
        pod(value!({"volumes": [{"name": "v", "configMap": {"name": "n", "items": items}}]}))
    };
    for (pod, told) in [
        (
            with(value!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})),
            vec![
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            ],
        ),
        (with(value!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]})), vec![]),
        (
            with(value!({"ports": [{"containerPort": 80}, {"containerPort": 80}]})),
            vec!["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
        ),
        (
            with(value!({"ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 1}]})),
            vec!["spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"],
        ),
        (
            with(value!({"resources": {"limits": {"memory": "500m"}}})),
            vec![
                "spec.containers[0].resources.limits[memory]: fractional byte value \"500m\" is invalid, must be an integer",
            ],
        ),
        (files(&["a", "b"]), vec![]),
        (files(&["a", "a/b"]), vec!["volume \"v\" (ConfigMap \"n\"): overlapping paths: \"a/b\" with \"a\""]),
        (
            pod(value!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}})),
            vec![
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            ],
        ),
        (
            pod(value!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z"}]})),
            vec![
                "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            ],
        ),
    ] {
        assert_eq!(pod_warnings(&pod), told);
    }
}
