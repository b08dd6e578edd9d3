//! What a newcomer would try with workloads, by the manifests of `examples/`:
//! autoscaling under load, `kubectl top`, updates that lose nothing, rollbacks,
//! indexed Jobs, data that stays.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::{Cluster, Kubectl, eventually, redis_archive};

use crate::{PATIENCE, cluster, example, wait_for};

/// Several looks of the autoscaler, at fifteen seconds each.
const LOOKS: Duration = Duration::from_secs(150);

/// The first number of a row of `kubectl top`: thousandths of a CPU.
fn cpu(table: &str, name: &str) -> Option<u64> {
    let row = table.lines().find(|line| line.starts_with(name))?;
    row.split_whitespace().find_map(|word| word.strip_suffix('m')?.parse().ok())
}

#[test]
fn a_deployment_grows_under_load_and_shrinks_without() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", &example("autoscaler"));
    kubectl.run("rollout status deployment/busy --timeout=60s");
    kubectl.run("exec deployment/busy -- touch /tmp/load");

    let groups = kubectl.run("get --raw /apis/metrics.k8s.io/v1beta1");
    assert!(
        groups.contains(r#""kind":"PodMetrics""#) && groups.contains(r#""verbs":["get","list"]"#),
        "{groups}"
    );
    eventually("the pod's load is told", PATIENCE, || {
        let ran = kubectl.try_run("top pods --no-headers");
        match cpu(&ran.stdout, "busy-") {
            Some(100..=260) => Ok(()),
            _ => Err(format!("{}{}", ran.stdout, ran.stderr)),
        }
    });
    let nodes = kubectl.run("top nodes");
    assert!(nodes.contains("CPU(cores)") && nodes.lines().count() == 2 && nodes.contains('%'), "{nodes}");
    let containers = kubectl.run("top pods --containers --no-headers -l app=busy");
    assert!(containers.contains(" main "), "{containers}");
    let rows = kubectl.run("get pods.metrics.k8s.io");
    assert!(rows.starts_with("NAME") && rows.contains("CPU") && rows.contains("WINDOW"), "{rows}");
    let missing = kubectl.try_run("get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/nobody");
    assert!(missing.refused().contains(r#"pods "nobody" not found"#));

    let grown = || {
        eventually("it grows to the most", LOOKS, || {
            let replicas = kubectl.field("deployment/busy", ".spec.replicas");
            if replicas == "3" { Ok(()) } else { Err(kubectl.run("describe hpa busy")) }
        });
    };
    grown();
    kubectl.run("rollout status deployment/busy --timeout=60s");
    let described = kubectl.run("describe hpa busy");
    for wanted in [
        "SuccessfulRescale",
        "reason: cpu resource utilization (percentage of request) above target",
        "ValidMetricFound",
    ] {
        assert!(described.contains(wanted), "{wanted} in {described}");
    }

    for pod in kubectl.field("pods -l app=busy", ".items[*].metadata.name").split(' ') {
        kubectl.run(&format!("exec {pod} -- rm -f /tmp/load"));
    }
    eventually("it shrinks to the least", LOOKS, || {
        let replicas = kubectl.field("deployment/busy", ".spec.replicas");
        if replicas == "1" { Ok(()) } else { Err(kubectl.run("describe hpa busy")) }
    });
    assert!(kubectl.run("get events").contains("All metrics below target"));
}

/// The whole answer to a request on a connection of its own.
fn page(address: &str) -> std::io::Result<String> {
    let address = format!("{address}:80").parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

#[test]
fn a_rolling_update_loses_no_request_and_a_broken_one_is_taken_back() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", &example("rolling-update"));
    kubectl.run("rollout status deployment/web --timeout=60s");
    let address = kubectl.field("service/web", ".spec.clusterIP");
    let url = format!("http://{address}/");
    let fetch = || cluster.run("curl", &["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5", &url]);
    eventually("the service answers", PATIENCE, || {
        let ran = fetch();
        if ran.stdout == "200" { Ok(()) } else { Err(ran.stderr) }
    });

    let rolled = AtomicBool::new(false);
    let network = cluster.network();
    let (asked, lost) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            network.enter();
            let (mut asked, mut lost) = (0, Vec::new());
            while !rolled.load(Ordering::Relaxed) {
                asked += 1;
                match page(&address) {
                    Ok(page) if page.starts_with("HTTP/1.1 200") && page.ends_with("</html>\n") => {}
                    Ok(other) => lost.push(other),
                    Err(error) => lost.push(error.to_string()),
                }
            }
            (asked, lost)
        });
        kubectl.run("set env deployment/web ROUND=2");
        let status = kubectl.try_run("rollout status deployment/web --timeout=120s");
        rolled.store(true, Ordering::Relaxed);
        status.ok();
        client.join().expect("the client ends")
    });
    // Each is a connection of its own, so that every pod had many.
    assert!(asked > 100, "only {asked} requests");
    assert!(lost.is_empty(), "{} of {asked} requests were lost: {lost:?}", lost.len());

    // An image that is not there: nothing of what works is taken away.
    kubectl.run("set image deployment/web web=localhost:1/broken:none");
    eventually("the new pod cannot get its image", PATIENCE, || {
        let why =
            kubectl.field("pods -l app=web", ".items[*].status.containerStatuses[*].state.waiting.reason");
        if why.contains("ErrImagePull") || why.contains("ImagePullBackOff") { Ok(()) } else { Err(why) }
    });
    assert_eq!(kubectl.field("deployment/web", ".status.availableReplicas"), "3");
    assert_eq!(fetch().stdout, "200");
    kubectl.run("rollout undo deployment/web");
    kubectl.run("rollout status deployment/web --timeout=60s");
    let images = kubectl.field("pods -l app=web", ".items[*].spec.containers[0].image");
    assert!(!images.contains("broken"), "{images}");
    wait_for(&kubectl, "deployment/web", ".status.conditions[?(@.type==\"Available\")].status", "True");
    assert_eq!(
        kubectl.field("deployment/web", r".metadata.annotations.deployment\.kubernetes\.io/revision"),
        "4"
    );
}

#[test]
fn an_indexed_job_does_each_part_once() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", &example("indexed-job"));
    kubectl.run("wait --for=condition=complete job/parts --timeout=60s");
    assert_eq!(kubectl.field("job/parts", ".status.completedIndexes"), "0-4");
    let logs = |job: &str, index: u32| {
        let labels =
            format!("batch.kubernetes.io/job-name={job},batch.kubernetes.io/job-completion-index={index}");
        kubectl.run(&format!("logs -l {labels} --tail=-1"))
    };
    for index in 0..5 {
        assert_eq!(logs("parts", index), format!("part {index}\n"));
    }
    // One part fails; the others are done all the same.
    let failing = example("indexed-job")
        .replace("name: parts", "name: torn")
        .replace("completions: 5", "completions: 3\n  backoffLimitPerIndex: 0\n  maxFailedIndexes: 3")
        .replace("echo part $JOB_COMPLETION_INDEX", "\"[ $JOB_COMPLETION_INDEX != 1 ]\"");
    kubectl.run_with("apply -f -", &failing);
    wait_for(&kubectl, "job/torn", r#".status.conditions[?(@.type=="Failed")].reason"#, "FailedIndexes");
    assert_eq!(kubectl.field("job/torn", ".status.completedIndexes"), "0,2");
    assert_eq!(kubectl.field("job/torn", ".status.failedIndexes"), "1");
}

/// One volume of this node for each of two claims.
fn disks(directory: &str) -> String {
    let disk = |name: &str| {
        format!(
            r#"
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  hostPath: {{path: {directory}/{name}, type: DirectoryOrCreate}}
---"#
        )
    };
    ["disk-a", "disk-b"].map(disk).concat()
}

const ROUNDS: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: nginx
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "echo $HOSTNAME >> /data/rounds; sleep 3600"]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 100Mi}}}
"#;

#[test]
fn the_data_of_a_stateful_set_survives_its_pods() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", &disks(&cluster.data_dir().join("disks").display().to_string()));
    kubectl.run_with("apply -f -", ROUNDS);
    kubectl.run("rollout status statefulset/db --timeout=60s");
    let rounds = |pod: &str| kubectl.run(&format!("exec {pod} -- cat /data/rounds"));
    assert_eq!([rounds("db-0"), rounds("db-1")], ["db-0\n", "db-1\n"]);
    let before = kubectl.field("pod/db-1", ".metadata.uid");
    kubectl.run("delete pod db-1");
    eventually("the pod is another", PATIENCE, || {
        let uid = kubectl.field("pod/db-1", ".metadata.uid");
        if uid.is_empty() || uid == before { Err(uid) } else { Ok(()) }
    });
    kubectl.run("wait --for=condition=Ready pod/db-1 --timeout=60s");
    assert_eq!(rounds("db-1"), "db-1\ndb-1\n");
    // Scaled down and up again, it finds its claim again.
    kubectl.run("scale statefulset/db --replicas=1");
    kubectl.run("wait --for=delete pod/db-1 --timeout=60s");
    assert_eq!(kubectl.field("pvc/data-db-1", ".status.phase"), "Bound");
    kubectl.run("scale statefulset/db --replicas=2");
    kubectl.run("rollout status statefulset/db --timeout=60s");
    assert_eq!(rounds("db-1"), "db-1\ndb-1\ndb-1\n");
}

#[test]
fn a_database_keeps_what_was_written() {
    let mut cluster = Cluster::builder().image(redis_archive()).start();
    let disk = cluster.data_dir().join("redis");
    let manifest = example("database").replace("/srv/redis", &disk.display().to_string());
    cluster.kubectl().run_with("apply -f -", &manifest);
    cluster.kubectl().run("rollout status statefulset/redis --timeout=60s");
    let said = |cluster: &Cluster, command: &str| {
        cluster.kubectl().run(&format!("exec redis-0 -- redis-cli {command}")).trim().to_owned()
    };
    assert_eq!(said(&cluster, "set color red"), "OK");
    assert_eq!(said(&cluster, "incrby visits 41"), "41");
    let uid = |cluster: &Cluster| cluster.kubectl().field("pod/redis-0", ".metadata.uid");
    let another = |cluster: &Cluster, before: &str| {
        eventually("the pod is another", PATIENCE, || {
            let uid = uid(cluster);
            if uid.is_empty() || uid == before { Err(uid) } else { Ok(()) }
        });
        cluster.kubectl().run("wait --for=condition=Ready pod/redis-0 --timeout=60s");
    };
    // A pod that is deleted in peace, and one that has no time to write anything.
    let before = uid(&cluster);
    cluster.kubectl().run("delete pod redis-0");
    another(&cluster, &before);
    assert_eq!([said(&cluster, "get color"), said(&cluster, "incr visits")], ["red", "42"]);
    let before = uid(&cluster);
    cluster.kubectl().run("delete pod redis-0 --grace-period=0 --force");
    another(&cluster, &before);
    assert_eq!(said(&cluster, "incr visits"), "43");
    // The program itself is killed: the database neither stops nor starts.
    let before = uid(&cluster);
    cluster.kill();
    cluster.boot();
    assert_eq!((uid(&cluster), said(&cluster, "incr visits")), (before, "44".to_owned()));
    assert_eq!(cluster.kubectl().field("pod/redis-0", ".status.containerStatuses[0].restartCount"), "0");
    // It is found by its name.
    let named = said(&cluster, "-h redis-0.redis.default.svc.cluster.local get color");
    assert_eq!(named, "red");
    // The set goes, the claim and its disk stay.
    cluster.kubectl().run("delete statefulset redis");
    cluster.kubectl().run("wait --for=delete pod/redis-0 --timeout=60s");
    cluster.kubectl().run_with("apply -f -", &manifest);
    cluster.kubectl().run("rollout status statefulset/redis --timeout=60s");
    assert_eq!(said(&cluster, "incr visits"), "45");
}

/// A claim that a volume of this node satisfies.
fn stored(kubectl: &Kubectl<'_>, directory: &str) -> String {
    let manifest = format!(
        r#"
apiVersion: v1
kind: PersistentVolume
metadata: {{name: disk}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {{path: {directory}, type: DirectoryOrCreate}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 100Mi}}}}}}
"#
    );
    kubectl.run_with("apply -f -", &manifest)
}

#[test]
fn a_claim_gets_a_volume_and_keeps_it() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let directory = cluster.data_dir().join("disk");
    stored(&kubectl, &directory.display().to_string());
    wait_for(&kubectl, "pvc/data", ".status.phase", "Bound");
    wait_for(&kubectl, "pv/disk", ".status.phase", "Bound");
    assert_eq!(kubectl.field("pvc/data", ".spec.volumeName"), "disk");
    assert_eq!(kubectl.field("pvc/data", ".status.capacity.storage"), "1Gi");
    assert_eq!(kubectl.field("pv/disk", ".spec.claimRef.name"), "data");
    let finalizers = kubectl.field("pv/disk", ".metadata.finalizers");
    assert!(finalizers.contains("kubernetes.io/pv-protection"), "{finalizers}");
    // A bound volume is not taken from under its claim.
    kubectl.run("delete pv disk --wait=false");
    assert_eq!(kubectl.field("pv/disk", ".status.phase"), "Bound");
    kubectl.run("delete pvc data");
    kubectl.run("wait --for=delete pv/disk --timeout=30s");
}
