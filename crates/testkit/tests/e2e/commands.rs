//! kubectl's commands, each against a real node, by every kubectl there is.

use testkit::{Background, Kubectl, eventually};

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
fn rights_are_asked_for_and_given() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let whoami = kubectl.run("auth whoami -o jsonpath={.status.userInfo.groups}");
    assert_eq!(whoami, r#"["system:masters","system:authenticated"]"#);
    let list = kubectl.run("auth can-i --list");
    assert!(list.contains("*.*") && list.contains("selfsubjectaccessreviews.authorization.k8s.io"), "{list}");
    let roles = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reads}\nrules:\n\
                 - {apiGroups: [''], resources: [pods], verbs: [get]}\n---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: reads}\n\
                 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads}\n\
                 subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]\n";
    let reconciled = kubectl.try_run_with("auth reconcile -f -", roles);
    assert!(reconciled.stderr.contains("reconciliation required create"), "{reconciled:?}");
    let wider = kubectl.try_run_with("auth reconcile -f -", &roles.replace("[get]", "[list]"));
    assert!(wider.stderr.contains("missing rules added"), "{wider:?}");
    for (verb, allowed) in [("get", "yes"), ("list", "yes"), ("delete", "no")] {
        let asked = kubectl.try_run(&format!("auth can-i {verb} pods --as=jane"));
        assert_eq!(asked.stdout.trim(), allowed, "{verb}");
    }

    // A user who signs in with the certificate that was approved for her.
    let place = cluster.data_dir().join("jane");
    std::fs::create_dir(&place).expect("made");
    let path = |name: &str| place.join(name).display().to_string();
    let request = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=jane", "-keyout"];
    let made = cluster.run("openssl", &[&request[..], &[&path("key"), "-out", &path("csr")]].concat());
    assert!(made.succeeded(), "{made:?}");
    let encoded = cluster.run("base64", &["-w0", &path("csr")]).ok();
    kubectl.run_with(
        "apply -f -",
        &format!(
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: jane}}\n\
             spec: {{request: {encoded}, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}}\n"
        ),
    );
    kubectl.run("certificate approve jane");
    let issued = eventually("the certificate is issued", PATIENCE, || {
        let issued = kubectl.field("csr/jane", ".status.certificate");
        if issued.is_empty() { Err("nothing yet") } else { Ok(issued) }
    });
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, issued).expect("base64");
    std::fs::write(place.join("crt"), decoded).expect("written");
    let as_jane = format!("--user=jane --client-certificate={} --client-key={}", path("crt"), path("key"));
    let jane = |arguments: &str| kubectl.try_run(&format!("{arguments} {as_jane}"));
    assert!(kubectl.try_run(&format!("config set-credentials jane {}", &as_jane[12..])).succeeded());
    assert_eq!(jane("auth whoami -o jsonpath={.status.userInfo.username}").ok(), "jane");
    assert!(jane("get pods").succeeded());
    let refused = jane("get secrets").refused();
    assert!(refused.contains("User \"jane\" cannot list resource \"secrets\""), "{refused}");
}

#[test]
fn every_create_makes_its_kind() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let file = cluster.data_dir().join("file");
    std::fs::write(&file, "a=b\n").expect("written");
    let file = file.display();
    kubectl.run("create serviceaccount who");
    for (made, arguments) in [
        ("clusterrole/a", "--verb=get --resource=pods,deployments.apps"),
        ("clusterrole/b", "--verb=get --non-resource-url=/logs/*"),
        ("clusterrole/c", "--aggregation-rule=x=y"),
        ("clusterrolebinding/a", "--clusterrole=a --user=u --group=g --serviceaccount=default:who"),
        ("configmap/a", &format!("--from-file={file} --from-literal=c=d")),
        ("configmap/b", &format!("--from-env-file={file}")),
        ("cronjob/a", "--image=nginx:1 --schedule=@yearly -- true"),
        ("ingress/a", "--rule=example.com/path=svc:80,tls=secret"),
        ("poddisruptionbudget/a", "--selector=a=b --min-available=1"),
        ("priorityclass/a", "--value=7 --description=high"),
        ("quota/a", "--hard=pods=50,secrets=50"),
        ("role/a", "--verb=get --resource=pods --resource-name=p"),
        ("rolebinding/a", "--role=a --serviceaccount=default:who"),
    ] {
        let (kind, name) = made.split_once('/').expect("a kind and a name");
        let said = kubectl.run(&format!("create {kind} {name} {arguments}"));
        assert!(said.ends_with(" created\n"), "{said}");
        assert!(kubectl.run(&format!("get {made} -o name")).ends_with(&format!("/{name}\n")));
    }
    for (name, arguments) in [
        ("generic", format!("generic one --from-file={file} --type=example.com/x")),
        ("docker-registry", "docker-registry two --docker-username=u --docker-password=p".into()),
    ] {
        assert!(kubectl.run(&format!("create secret {arguments}")).contains(" created"), "{name}");
    }
    for arguments in [
        "clusterip one --tcp=80:8080",
        "clusterip two --clusterip=None",
        "nodeport three --tcp=80 --node-port=31234",
        "loadbalancer four --tcp=80",
        "externalname five --external-name=example.com",
    ] {
        assert!(kubectl.run(&format!("create service {arguments}")).contains(" created"), "{arguments}");
    }
    assert_eq!(kubectl.field("service/three", ".spec.ports[0].nodePort"), "31234");
    let token = kubectl.run("create token who --duration=10m");
    kubectl.run(&format!("config set-credentials who --token={}", token.trim()));
    let me = kubectl.run("auth whoami -o jsonpath={.status.userInfo.username} --user=who");
    assert_eq!(me, "system:serviceaccount:default:who");
    let refused = kubectl.try_run("create quota b --hard=cpu=1 --scopes=BestEffort").refused();
    assert!(refused.contains("unsupported scope applied to resource"), "{refused}");
}

#[test]
fn objects_are_edited_and_set() {
    with_each_kubectl(|kubectl, namespace| {
        let n = format!("-n {namespace}");
        let place = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).expect("written");
        write("kustomization.yaml", "namePrefix: k-\nresources: [cm.yaml]\n");
        write("cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n");
        let directory = place.path().display();
        assert!(kubectl.run(&format!("kustomize {directory}")).contains("name: k-a"));
        assert_eq!(kubectl.run(&format!("apply -k {directory} {n}")), "configmap/k-a created\n");
        let again = kubectl.run(&format!("apply -k {directory} --server-side {n}"));
        assert_eq!(again, "configmap/k-a serverside-applied\n");
        assert!(kubectl.try_run(&format!("diff -k {directory} {n}")).succeeded());

        kubectl.run(&format!("create deployment web --image=nginx:1 --replicas=1 {n}"));
        let web = format!("deployment/web {n}");
        // The editor changes a number; none changes nothing; a bad one is refused.
        let editor = kubectl.with("KUBE_EDITOR", "sed -i s/replicas:.1/replicas:\\ 2/");
        assert_eq!(editor.run(&format!("edit {web}")), "deployment.apps/web edited\n");
        assert_eq!(kubectl.field(&web, ".spec.replicas"), "2");
        let none = kubectl.with("KUBE_EDITOR", "true").try_run(&format!("edit {web}"));
        assert!(none.stderr.contains("Edit cancelled, no changes made."), "{none:?}");

        let merge =
            ["patch", "deployment", "web", "-n", namespace, "--type=merge", "--subresource=scale", "-p"];
        kubectl.run_of(&[&merge[..], &[r#"{"spec":{"replicas":3}}"#]].concat());
        assert_eq!(kubectl.field(&web, ".spec.replicas"), "3");
        let refused = kubectl.try_run(&format!("scale {web} --current-replicas=9 --replicas=1")).refused();
        assert!(refused.contains("Expected replicas to be 9, was 3"), "{refused}");
        kubectl.run(&format!("scale {web} --current-replicas=3 --replicas=1"));

        kubectl.run(&format!("create serviceaccount other {n}"));
        for arguments in [
            "env deployment/web A=1 --containers=nginx",
            "resources deployment/web --limits=memory=64Mi --requests=cpu=10m",
            "image deployment/web *=nginx:latest",
            "serviceaccount deployment/web other",
        ] {
            let said = kubectl.run(&format!("set {arguments} {n}"));
            assert!(said.ends_with(" updated\n"), "{said}");
        }
        assert_eq!(kubectl.run(&format!("set env {web} --list")).lines().last(), Some("A=1"));
        let spec = kubectl.field(&web, ".spec.template.spec");
        for wanted in ["\"memory\":\"64Mi\"", "nginx:latest", "\"serviceAccountName\":\"other\""] {
            assert!(spec.contains(wanted), "{wanted} in {spec}");
        }
        kubectl.run(&format!("create rolebinding b --clusterrole=view --user=u {n}"));
        kubectl.run(&format!("set subject rolebinding b --user=v {n}"));
        assert_eq!(kubectl.field(&format!("rolebinding/b {n}"), ".subjects[*].name"), "u v");
        kubectl.run(&format!("create service clusterip s --tcp=80 {n}"));
        kubectl.run(&format!("set selector service s app=web {n}"));
        assert_eq!(kubectl.field(&format!("service/s {n}"), ".spec.selector"), r#"{"app":"web"}"#);

        for condition in ["jsonpath={.status.readyReplicas}=1", "condition=Available"] {
            kubectl.run(&format!("wait --for={condition} {web} --timeout=60s"));
        }
        let never = kubectl.try_run(&format!("wait --for=create configmap/none --timeout=1s {n}")).refused();
        assert!(never.contains("timed out"), "{never}");
        kubectl.run(&format!("wait --for=delete configmap/none --timeout=1s {n}"));
        let whole = kubectl.run(&format!("get {web} -o yaml"));
        let replaced = kubectl.run_with(&format!("replace --force --grace-period=1 -f - {n}"), &whole);
        assert!(replaced.ends_with("deployment.apps/web replaced\n"), "{replaced}");
        assert!(kubectl.run(&format!("events {n}")).contains("ScalingReplicaSet"));
        kubectl.run(&format!("rollout pause {web}"));
        assert_eq!(kubectl.field(&web, ".spec.paused"), "true");
        kubectl.run(&format!("rollout resume {web}"));
        kubectl.run(&format!("delete deployment web --cascade=orphan {n}"));
        assert!(kubectl.run(&format!("get replicasets {n} -o name")).contains("replicaset.apps/web-"));
        kubectl.run(&format!("delete replicasets --all --cascade=foreground --timeout=60s {n}"));
        // Pods of earlier rounds may still be ending.
        kubectl.run(&format!("wait --for=delete pods --all --timeout=60s {n}"));
    });
}

#[test]
fn the_cluster_is_dumped_and_explained() {
    with_each_kubectl(|kubectl, namespace| {
        let dump = tempfile::tempdir().expect("a directory");
        kubectl.run(&format!(
            "cluster-info dump --namespaces={namespace} --output-directory={}",
            dump.path().display()
        ));
        assert!(dump.path().join("nodes.json").exists() && dump.path().join(namespace).is_dir());
        let explained = kubectl.run("explain deployment.spec --output=plaintext-openapiv2");
        assert!(explained.contains("FIELDS:") && explained.contains("selector\t<Object> -required-"));
        let unknown = kubectl.try_run("explain deployment.spec.none").refused();
        assert!(unknown.contains("does not exist"), "{unknown}");
        assert!(kubectl.run("completion bash").contains("__start_kubectl"));
        assert!(kubectl.run("config view").contains("certificate-authority-data: DATA+OMITTED"));
        assert!(kubectl.run("get --raw /readyz?verbose").ends_with("readyz check passed\n"));
        let resources = kubectl.run("api-resources --verbs=list,create --namespaced -o name");
        assert!(resources.contains("deployments.apps\n") && !resources.contains("bindings\n"));
        assert!(kubectl.run("get componentstatuses -o name").contains("componentstatus/scheduler"));
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
    let mut watch = Background::start(kubectl.command("get pods -w -o name"));
    kubectl.run_with("apply -f -", &script("seen", "sleep 300"));
    assert_eq!(watch.line(), "pod/seen");
}
