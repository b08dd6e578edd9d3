//! A cluster of two nodes on one link, and one of two address families.

use testkit::{Cluster, Joined, eventually, nginx_archive};

use crate::{PATIENCE, wait_for};

/// A web server on each node, behind one Service.
const WEB: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: nginx
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'mkdir /page; echo $NODE > /page/index.html; exec busybox httpd -f -vv -p 80 -h /page']
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
";

fn two_nodes() -> (Cluster, Joined) {
    let cluster = Cluster::builder()
        .arguments(&["--node-name", "first", "--pod-cidr", "10.42.0.0/24", "--cluster-cidr", "10.42.0.0/16"])
        .image(nginx_archive())
        .start();
    let second = cluster.join("second", "10.42.1.0/24", &[]);
    second.corten(&["image", "import", &nginx_archive().to_string_lossy()]).ok();
    (cluster, second)
}

#[test]
fn pods_of_two_nodes_reach_each_other_and_are_reached() {
    let (cluster, mut second) = two_nodes();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", WEB);
    wait_for(&kubectl, "daemonset/web", ".status.numberReady", "2");
    let pod = |node: &str, path: &str| {
        kubectl.run(&format!(
            "get pods -l app=web --field-selector=spec.nodeName={node} -o jsonpath={{.items[0]{path}}}"
        ))
    };
    let names = ["first", "second"].map(|node| pod(node, ".metadata.name"));
    let addresses = ["first", "second"].map(|node| pod(node, ".status.podIP"));
    assert!(addresses[0].starts_with("10.42.0.") && addresses[1].starts_with("10.42.1."), "{addresses:?}");

    for (name, own, other) in [(&names[0], "first", 1), (&names[1], "second", 0)] {
        let page = |host: &str, port: u16| {
            let url = format!("http://{host}:{port}/");
            let ran = kubectl.try_run_of(&["exec", name, "--", "curl", "-sS", "-m", "2", &url]);
            if ran.succeeded() { ran.stdout.trim().to_owned() } else { ran.stderr }
        };
        let there = ["first", "second"][other];
        assert_eq!(page(&addresses[other], 80), there, "from {own} by the pod's address");
        for host in ["web", "192.0.2.10", "192.0.2.11"] {
            let port = if host == "web" { 80 } else { 30080 };
            let mut seen = std::collections::BTreeSet::new();
            eventually(&format!("{host} leads from {own} to both"), PATIENCE, || {
                seen.insert(page(host, port));
                if ["first", "second"].iter().all(|node| seen.contains(*node)) {
                    Ok(())
                } else {
                    Err(format!("{seen:?}"))
                }
            });
        }
        // The source stays the pod's own on the way.
        let log = kubectl.run_of(&["logs", &names[other]]);
        assert!(log.contains(&format!("{}]:", addresses[1 - other])), "{log}");
    }

    // Neither a restart nor a kill of the program touches what runs.
    let started = |name: &str| {
        kubectl.field(&format!("pod/{name}"), ".status.containerStatuses[0].state.running.startedAt")
    };
    let before = started(&names[1]);
    second.kill();
    second.boot();
    eventually("the second node serves again", PATIENCE, || {
        let ran = kubectl.try_run_of(&["exec", &names[1], "--", "true"]);
        if ran.succeeded() { Ok(()) } else { Err(ran.stderr) }
    });
    assert_eq!(started(&names[1]), before);

    // A node that is gone takes its way with it; the rest goes on.
    second.stop();
    kubectl.run("delete node second");
    eventually("the way to its pods is gone", PATIENCE, || {
        let routes = cluster.run("ip", &["route"]).stdout;
        if routes.contains("10.42.1.0/24") { Err(routes) } else { Ok(()) }
    });
    second.corten(&["down"]).ok();
    let left = second.run("ip", &["route"]).stdout;
    assert!(!left.contains("10.42"), "{left}");
}

#[test]
fn a_node_of_two_families_serves_both() {
    let pods = ["--pod-cidr", "10.42.0.0/24,fd00:42::/64"];
    let services = ["--service-cidr", "10.96.0.0/16,fd00:96::/112"];
    let cluster = Cluster::builder().arguments(&pods).arguments(&services).image(nginx_archive()).start();
    let kubectl = cluster.kubectl();
    let dns = kubectl.field("service/kube-dns -n kube-system", ".spec.clusterIPs[*]");
    assert_eq!(dns, "10.96.0.10 fd00:96::a");
    let server = "echo both > /tmp/page; exec busybox httpd -f -p [::]:80 -h /tmp";
    kubectl.run_with("apply -f -", &crate::script("both", server));
    let service = "{apiVersion: v1, kind: Service, metadata: {name: both}, spec: \
                   {ipFamilyPolicy: RequireDualStack, selector: {app: both}, ports: [{port: 80}]}}";
    kubectl.run_with("apply -f -", service);
    wait_for(&kubectl, "pod/both", ".status.phase", "Running");
    let addresses = kubectl.field("pod/both", ".status.podIPs[*].ip")
        + " "
        + &kubectl.field("service/both", ".spec.clusterIPs[*]");
    assert_eq!(addresses.matches("fd00:").count(), 2, "{addresses}");
    for address in addresses.split(' ') {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        eventually(&format!("{host} serves"), PATIENCE, || {
            let ran = cluster.run("curl", &["-gsS", "-m", "2", &format!("http://{host}/page")]);
            if ran.stdout.trim() == "both" { Ok(()) } else { Err(ran.stderr) }
        });
    }
}
