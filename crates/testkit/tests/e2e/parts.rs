//! A control plane in parts: the API server, controllers and the scheduler as
//! processes of their own, of which one of a kind leads.
#![allow(clippy::disallowed_methods)] // tests run in real time

use std::time::{Duration, Instant};

use testkit::{Cluster, Kubectl, Part, eventually, nginx_archive, program};

use crate::{PATIENCE, wait_for};

/// Short times, so that a test need not wait for upstream's.
const SHORT: [&str; 3] = [
    "--leader-elect-lease-duration=6s",
    "--leader-elect-renew-deadline=4s",
    "--leader-elect-retry-period=400ms",
];
/// So long that nobody would wait for its end.
const LONG: [&str; 3] = [
    "--leader-elect-lease-duration=600s",
    "--leader-elect-renew-deadline=60s",
    "--leader-elect-retry-period=400ms",
];

/// Of a certificate that the node asks for, in seconds.
const LIFE: u64 = 20;

const HOLLOW: &str = "{apiVersion: v1, kind: Node, metadata: {name: hollow}}";
const ROOM: &str = r#"{"status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": "50"},
    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "NOW"}]}}"#;
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
";

fn manager(cluster: &Cluster, name: &str, times: [&str; 3]) -> Part {
    let pki = cluster.data_dir().join("pki");
    let mut arguments = vec!["controller-manager", "--pki", pki.to_str().expect("a path of text")];
    arguments.extend(times);
    cluster.part(name, &arguments)
}

fn scheduler(cluster: &Cluster) -> Part {
    cluster.part("scheduler", &[&["scheduler"][..], &SHORT].concat())
}

/// Waits for a word in a log.
fn says(part: &Part, word: &str) {
    eventually(&format!("a part says {word:?}"), PATIENCE, || {
        if part.log().contains(word) { Ok(()) } else { Err(part.log()) }
    });
}

fn leads(part: &Part) -> usize {
    part.log().matches(r#""message":"leads""#).count()
}

/// The hollow node as its kubelet would tell of it.
fn beat(kubectl: &Kubectl<'_>) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = ROOM.replace("NOW", &now);
    kubectl.run_of(&["patch", "node", "hollow", "--subresource=status", "--type=merge", "-p", &patch]);
}

/// Waits for so many pods on the node, and no pod more nor a second ReplicaSet.
fn has_pods(kubectl: &Kubectl<'_>, wanted: usize) {
    eventually(&format!("{wanted} pods are on the node"), PATIENCE, || {
        beat(kubectl);
        let nodes = kubectl.field("pods", ".items[*].spec.nodeName");
        if nodes.split_whitespace().count() == wanted { Ok(()) } else { Err(nodes) }
    });
    assert_eq!(kubectl.run("get pods -o name").lines().count(), wanted);
    assert_eq!(kubectl.run("get replicasets -o name").lines().count(), 1);
}

#[test]
fn one_manager_leads_and_another_follows() {
    let mut cluster = Cluster::api_server();
    // An API that is not there yet is waited for.
    cluster.stop();
    let mut first = manager(&cluster, "first", SHORT);
    let mut scheduler = scheduler(&cluster);
    for part in [&first, &scheduler] {
        says(part, "waits for the API server");
    }
    cluster.boot();
    says(&first, r#""message":"leads""#);
    let mut second = manager(&cluster, "second", SHORT);
    says(&second, "waits for the lease");

    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", HOLLOW);
    beat(&kubectl);
    kubectl.run_with("apply -f -", WEB);
    has_pods(&kubectl, 3);
    assert_eq!((leads(&first), leads(&second)), (1, 0));
    let lease = |path: &str| kubectl.field("lease/kube-controller-manager -n kube-system", path);
    assert_eq!(lease(".spec.leaseTransitions"), "0");
    let identity = lease(".spec.holderIdentity");
    assert!(first.log().contains(&identity), "{identity}");
    // Each controller is the account that it always is.
    let events = kubectl.run("get events -o jsonpath={.items[*].source.component}");
    for component in ["deployment-controller", "replicaset-controller"] {
        assert!(events.contains(component), "{events}");
    }
    let managers = kubectl
        .run("get deployment/web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}");
    assert!(managers.contains("kube-controller-manager"), "{managers}");

    // Gone without a word: the lease ends first.
    first.kill();
    kubectl.run("scale deployment/web --replicas=6");
    has_pods(&kubectl, 6);
    assert_eq!(leads(&second), 1);
    assert_eq!(lease(".spec.leaseTransitions"), "1");

    // Told to stop: the lease is given back, however long it would last.
    let mut third = manager(&cluster, "third", LONG);
    says(&third, "waits for the lease");
    second.stop();
    says(&third, r#""message":"leads""#);
    assert_eq!(lease(".spec.leaseDurationSeconds"), "600");
    let fourth = manager(&cluster, "fourth", SHORT);
    says(&fourth, "waits for the lease");
    third.stop();
    let begun = Instant::now();
    says(&fourth, r#""message":"leads""#);
    assert!(begun.elapsed() < PATIENCE);
    kubectl.run("scale deployment/web --replicas=8");
    has_pods(&kubectl, 8);
    assert_eq!(lease(".spec.leaseTransitions"), "3");
    let told = kubectl.run(
        "get events -n kube-system --field-selector=reason=LeaderElection -o jsonpath={.items[*].message}",
    );
    assert!(told.contains(&format!("{identity} became leader")), "{told}");

    // An API that is away for too long ends the term, not the process.
    cluster.stop();
    for part in [&fourth, &scheduler] {
        says(part, "the lease is lost");
    }
    cluster.boot();
    let kubectl = cluster.kubectl();
    kubectl.run("scale deployment/web --replicas=10");
    has_pods(&kubectl, 10);
    assert_eq!(leads(&fourth), 2);
    assert!(scheduler.ended().is_none());
}

#[test]
fn a_cluster_of_parts_runs_pods_on_a_node_that_joins() {
    let mut cluster = Cluster::api_server();
    cluster.stop();
    // Everything comes up in any order.
    let node = cluster.joining("far", "10.42.1.0/24", &[]);
    let scheduler = cluster.part("scheduler", &["scheduler", "--leader-elect=false"]);
    eventually("the node waits", PATIENCE, || {
        if node.log().contains("waits for the API server") { Ok(()) } else { Err(node.log()) }
    });
    cluster.boot();
    let pki = cluster.data_dir().join("pki");
    let pki = pki.to_str().expect("a path of text");
    let life = format!("--cluster-signing-duration={LIFE}s");
    let manager = cluster.part("manager", &["controller-manager", "--pki", pki, &life]);
    let started = Instant::now();
    let kubectl = cluster.kubectl();
    wait_for(&kubectl, "node/far", r#".status.conditions[?(@.type=="Ready")].status"#, "True");
    node.corten(&["image", "import", &nginx_archive().to_string_lossy()]).ok();
    kubectl.run_with(
        "apply -f -",
        &crate::script("hello", "until busybox nslookup kubernetes.default.svc.cluster.local; do sleep 1; done; echo resolved; sleep 3600"),
    );
    wait_for(&kubectl, "pod/hello", ".status.phase", "Running");
    // Names are served, and the API reaches the node's server.
    eventually("the pod says what a name is", PATIENCE, || {
        let ran = kubectl.try_run("logs hello");
        if ran.stdout.contains("resolved") { Ok(()) } else { Err(format!("{ran:?}")) }
    });
    // The keys in --pki fill a Secret that asks for a token.
    let secret = "{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: \
                  {name: token, annotations: {kubernetes.io/service-account.name: default}}}";
    kubectl.run_with("apply -f -", secret);
    eventually("the Secret has a token", PATIENCE, || {
        let token = kubectl.field("secret/token", ".data.token");
        if token.is_empty() { Err(manager.log()) } else { Ok(()) }
    });
    // Certificates are renewed while they are used: the node's as a client and as a server.
    std::thread::sleep(Duration::from_secs(LIFE + 5).saturating_sub(started.elapsed()));
    let requests = kubectl.run("get certificatesigningrequests -o name").lines().count();
    assert!(requests >= 8, "{requests}");
    assert!(node.log().contains("renewed a certificate"), "{}", node.log());
    kubectl.run_with("apply -f -", &crate::script("late", "echo late"));
    wait_for(&kubectl, "pod/late", ".status.phase", "Succeeded");
    assert_eq!(kubectl.run("logs late").trim(), "late");
    drop(scheduler);
}

#[test]
fn who_may_not_is_told_why() {
    let cluster = Cluster::api_server();
    let kubectl = cluster.kubectl();
    kubectl.run("create clusterrole asks --verb=create --resource=certificatesigningrequests");
    kubectl.run("create clusterrolebinding asks --clusterrole=asks --serviceaccount=default:jane");
    kubectl.run("create serviceaccount jane");
    let token = kubectl.run("create token jane");
    let administrator = std::fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
    let program = program();
    let refusal = |name: &str, text: &str, arguments: &[&str]| {
        let file = cluster.data_dir().join(name);
        std::fs::write(&file, text).expect("written");
        let file = file.to_string_lossy().into_owned();
        let arguments = [arguments, &["--kubeconfig", &file]].concat();
        cluster.run(&program.to_string_lossy(), &arguments).refused()
    };
    let without = |credentials: &str| {
        let keys = ["client-certificate-data", "client-key-data"];
        let lines = administrator.lines().filter(|line| !keys.iter().any(|key| line.contains(key)));
        let lines = lines.map(|line| line.replace("user:", &format!("user:{credentials}")));
        lines.collect::<Vec<_>>().join("\n").replace(&format!("user:{credentials} admin"), "user: admin")
    };
    let jane = without(&format!(" {{token: {}}}", token.trim()));
    let nobody = without(" {}");
    for role in ["scheduler", "controller-manager"] {
        let told = refusal("jane", &jane, &[role]);
        assert!(told.contains("must be allowed to impersonate") && told.contains("default:jane"), "{told}");
    }
    let told = refusal("nobody", &nobody, &["scheduler"]);
    assert!(told.contains("credentials"), "{told}");
    let told = refusal("times", &administrator, &["scheduler", "--leader-elect-lease-duration=5s"]);
    assert!(told.contains("lease duration"), "{told}");
    let other = cluster.data_dir().join("store");
    let told =
        refusal("of-another", &administrator, &["controller-manager", "--pki", &other.to_string_lossy()]);
    assert!(told.contains("ca.crt is missing"), "{told}");

    let data = cluster.data_dir().join("node");
    let join = ["join", "--pod-cidr", "10.42.1.0/24", "--data-dir", data.to_str().expect("a path of text")];
    let told = refusal("jane", &jane, &join);
    assert!(
        told.contains("approving the certificate of system:node:") && told.contains("default:jane"),
        "{told}"
    );
    let told = refusal("nobody", &nobody, &join);
    assert!(told.contains("credentials"), "{told}");
}
