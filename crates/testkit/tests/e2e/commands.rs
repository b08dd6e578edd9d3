//! kubectl's commands, each against a real node, by every kubectl there is.

use testkit::{Kubectl, eventually};

use crate::{PATIENCE, cluster, script, wait_for};

/// Runs `check` with every kubectl in a namespace of its own.
fn with_each_kubectl(check: impl Fn(&Kubectl<'_>, &str)) {
    let cluster = cluster();
    for (at, kubectl) in cluster.kubectls().into_iter().enumerate() {
        let namespace = format!("by-{at}");
        kubectl.run(&format!("create namespace {namespace}"));
        check(&kubectl, &namespace);
        kubectl.run(&format!("delete namespace {namespace} --wait=true --timeout=60s"));
    }
}

#[test]
fn the_cluster_is_told() {
    with_each_kubectl(|kubectl, _| {
        let info = kubectl.run("cluster-info");
        assert!(info.contains("Kubernetes control plane") && info.contains("is running at"), "{info}");
        assert!(kubectl.run("version").contains("Server Version: v1.37.2"));
        let resources = kubectl.run("api-resources");
        for wanted in ["deployments", "persistentvolumeclaims", "customresourcedefinitions", "rolebindings"] {
            assert!(resources.contains(wanted), "{wanted} in {resources}");
        }
        assert!(kubectl.run("api-versions").contains("apps/v1"));
        let explained = kubectl.run("explain deployment.spec.replicas");
        assert!(
            explained.contains("FIELD: replicas <integer>") && explained.contains("desired pods"),
            "{explained}"
        );
        let explained = kubectl.run("explain pod --recursive");
        assert!(explained.contains("terminationGracePeriodSeconds"), "{explained}");
        assert_eq!(kubectl.run("auth can-i create pods").trim(), "yes");
        let asked = kubectl.try_run("auth can-i create pods --as=system:serviceaccount:default:default");
        assert_eq!((asked.stdout.trim(), asked.code), ("no", Some(1)));
        assert!(kubectl.run("auth whoami").contains("admin"));
        let nodes = kubectl.run("get nodes -o wide");
        assert!(
            nodes.contains("Ready") && nodes.contains("192.0.2.10") && nodes.contains("corten://"),
            "{nodes}"
        );
        let node = kubectl.run("get nodes -o name");
        let described = kubectl.run(&format!("describe {}", node.trim()));
        for wanted in ["Capacity:", "Allocatable:", "KubeletReady", "Container Runtime Version:"] {
            assert!(described.contains(wanted), "{wanted} in {described}");
        }
    });
}

#[test]
fn objects_are_made_shown_and_changed() {
    with_each_kubectl(|kubectl, namespace| {
        let n = format!("-n {namespace}");
        assert_eq!(
            kubectl.run(&format!("create configmap c --from-literal=a=1 {n}")),
            "configmap/c created\n"
        );
        assert_eq!(
            kubectl.run(&format!("create secret generic s --from-literal=p=x {n}")),
            "secret/s created\n"
        );
        assert_eq!(kubectl.run(&format!("get configmap c -o jsonpath={{.data.a}} {n}")), "1");
        let yaml = kubectl.run(&format!("get configmap c -o yaml {n}"));
        assert!(yaml.starts_with("apiVersion: v1\ndata:\n  a: \"1\"\nkind: ConfigMap\n"), "{yaml}");
        let table = kubectl.run(&format!("get secret s {n}"));
        assert!(table.contains("NAME   TYPE     DATA   AGE\ns      Opaque   1 "), "{table}");
        let columns =
            kubectl.run(&format!("get configmap c -o custom-columns=N:.metadata.name,A:.data.a {n}"));
        assert_eq!(columns.split_whitespace().collect::<Vec<_>>(), ["N", "A", "c", "1"]);

        let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n";
        let apply = |manifest: &str| kubectl.run_with(&format!("apply -f - {n}"), manifest);
        assert_eq!(apply(manifest), "configmap/m created\n");
        assert_eq!(apply(manifest), "configmap/m unchanged\n");
        let changed = manifest.replace("k: v", "k: w");
        let diff = kubectl.try_run_with(&format!("diff -f - {n}"), &changed);
        assert!(diff.code == Some(1) && diff.stdout.contains("+  k: w"), "{diff:?}");
        assert_eq!(apply(&changed), "configmap/m configured\n");
        assert_eq!(kubectl.field(&format!("configmap/m {n}"), ".data.k"), "w");

        kubectl.run(&format!("label configmap m color=red {n}"));
        assert_eq!(kubectl.run(&format!("get configmap -l color=red -o name {n}")), "configmap/m\n");
        kubectl.run(&format!("annotate configmap m note=x {n}"));
        kubectl.run_of(&["patch", "configmap", "m", "-n", namespace, "-p", r#"{"data":{"p":"1"}}"#]);
        kubectl.run_of(&[
            "patch",
            "configmap",
            "m",
            "-n",
            namespace,
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/data/k"}]"#,
        ]);
        assert_eq!(kubectl.field(&format!("configmap/m {n}"), ".data"), r#"{"p":"1"}"#);
        let replaced = kubectl.run_with(&format!("replace -f - {n}"), manifest);
        assert_eq!(replaced, "configmap/m replaced\n");
        assert_eq!(
            kubectl.run(&format!("delete configmap m {n}")),
            format!("configmap \"m\" deleted from {namespace} namespace\n")
                .replace(
                    &format!(" from {namespace} namespace"),
                    if kubectl.run("version --client").contains("v1.32") {
                        ""
                    } else {
                        " from {namespace} namespace"
                    },
                )
                .replace("{namespace}", namespace)
        );

        let refused = kubectl.try_run_with(
            &format!("apply -f - {n}"),
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: 7\n",
        );
        assert!(refused.refused().contains("cannot unmarshal number into Go struct field ConfigMap.data"));
        let refused =
            kubectl.try_run_with(&format!("apply -f - {n}"), &manifest.replace("data: {k", "dato: {k"));
        assert!(refused.refused().contains("unknown field \"dato\""));
    });
}

#[test]
fn workloads_are_run_and_rolled() {
    with_each_kubectl(|kubectl, namespace| {
        let n = format!("-n {namespace}");
        kubectl.run(&format!("create deployment web --image=nginx:1 --replicas=2 --port=80 {n}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        let pods = kubectl.run(&format!("get pods -o wide {n}"));
        assert_eq!(pods.matches("1/1     Running   0 ").count(), 2, "{pods}");
        kubectl.run(&format!("expose deployment web --port=80 {n}"));
        assert!(kubectl.run(&format!("describe service web {n}")).contains("Endpoints:"));
        kubectl.run(&format!("scale deployment web --replicas=3 {n}"));
        wait_for(kubectl, &format!("deployment/web {n}"), ".status.readyReplicas", "3");

        kubectl.run(&format!("set env deployment/web A=1 {n}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        kubectl.run(&format!("set image deployment/web nginx=nginx:none {n}"));
        wait_for_waiting(kubectl, namespace);
        let history = kubectl.run(&format!("rollout history deployment/web {n}"));
        assert_eq!(history.lines().filter(|line| line.starts_with(['1', '2', '3'])).count(), 3, "{history}");
        kubectl.run(&format!("rollout undo deployment/web {n}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        assert_eq!(
            kubectl.field(&format!("deployment/web {n}"), ".spec.template.spec.containers[0].image"),
            "nginx:1"
        );
        kubectl.run(&format!("rollout restart deployment/web {n}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        let described = kubectl.run(&format!("describe deployment web {n}"));
        for wanted in ["StrategyType:", "RollingUpdate", "ScalingReplicaSet", "Scaled up replica set web-"] {
            assert!(described.contains(wanted), "{wanted} in {described}");
        }
        let wanted = kubectl.field(&format!("deployment/web {n}"), ".spec.replicas");
        let pods = eventually("only the new pods are left", PATIENCE, || {
            let pods = kubectl.run(&format!("get pods -o name {n}"));
            if pods.lines().count().to_string() == wanted { Ok(pods) } else { Err(pods) }
        });
        let described = kubectl.run(&format!("describe {} {n}", pods.lines().next().expect("a pod")));
        for wanted in
            ["Status:", "Running", "Scheduled", "Successfully assigned", "Created", "Started", "QoS Class:"]
        {
            assert!(described.contains(wanted), "{wanted} in {described}");
        }
        assert!(kubectl.run(&format!("get events {n}")).contains("SuccessfulCreate"));
        kubectl.run(&format!("delete deployment web --wait=true {n}"));
        kubectl.run(&format!("wait --for=delete pods --all --timeout=60s {n}"));

        kubectl.run(&format!("run single --image=nginx:1 --image-pull-policy=IfNotPresent {n}"));
        kubectl.run(&format!("wait --for=condition=Ready pod/single --timeout=60s {n}"));
        kubectl.run(&format!("delete pod single --force --grace-period=0 {n}"));
    });
}

#[test]
fn a_job_completes() {
    with_each_kubectl(|kubectl, namespace| {
        let n = format!("-n {namespace}");
        kubectl.run(&format!("create job once --image=nginx:1 {n} -- sh -c true"));
        kubectl.run(&format!("wait --for=condition=complete job/once --timeout=60s {n}"));
    });
}

fn wait_for_waiting(kubectl: &Kubectl<'_>, namespace: &str) {
    eventually("the missing image is told", PATIENCE, || {
        let pods = kubectl.run(&format!("get pods -n {namespace}"));
        if pods.contains("ErrImagePull") || pods.contains("ImagePullBackOff") { Ok(()) } else { Err(pods) }
    });
}

#[test]
fn nodes_are_cordoned_tainted_and_drained() {
    with_each_kubectl(|kubectl, namespace| {
        let n = format!("-n {namespace}");
        let node = kubectl.run("get nodes -o jsonpath={.items[0].metadata.name}");
        kubectl.run(&format!("create deployment web --image=nginx:1 {n}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        kubectl.run(&format!("cordon {node}"));
        assert!(kubectl.run("get nodes").contains("Ready,SchedulingDisabled"));
        kubectl
            .run(&format!("drain {node} --ignore-daemonsets --delete-emptydir-data --force --timeout=60s"));
        eventually("the replacement waits", PATIENCE, || {
            let events = kubectl.run(&format!("get events {n}"));
            if events.contains("0/1 nodes are available: 1 node(s) were unschedulable") {
                Ok(())
            } else {
                Err(events)
            }
        });
        kubectl.run(&format!("uncordon {node}"));
        kubectl.run(&format!("rollout status deployment/web --timeout=60s {n}"));
        kubectl.run(&format!("taint node {node} only=us:NoSchedule"));
        kubectl.run(&format!("run refused --image=nginx:1 {n}"));
        eventually("the taint keeps the pod away", PATIENCE, || {
            let events = kubectl.run(&format!("get events {n}"));
            if events.contains("untolerated taint") { Ok(()) } else { Err(events) }
        });
        kubectl.run(&format!("taint node {node} only=us:NoSchedule-"));
        wait_for(kubectl, &format!("pod/refused {n}"), ".status.phase", "Running");
    });
}

#[test]
fn watches_show_changes_as_they_come() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let mut watch =
        kubectl.command("get pods -w -o name").stdout(std::process::Stdio::piped()).spawn().expect("starts");
    kubectl.run_with("apply -f -", &script("seen", "sleep 300"));
    let stdout = watch.stdout.take().expect("piped");
    let line = std::io::BufRead::lines(std::io::BufReader::new(stdout)).next();
    let _ = watch.kill();
    let _ = watch.wait();
    assert_eq!(line.and_then(Result::ok).as_deref(), Some("pod/seen"));
}
