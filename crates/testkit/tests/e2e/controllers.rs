//! What a newcomer would try with workloads: autoscaling under load, `kubectl
//! top`, updates that lose nothing, rollbacks, indexed Jobs, data that stays.

use std::time::Duration;

use testkit::{Kubectl, eventually};

use crate::{PATIENCE, cluster, wait_for};

/// Several looks of the autoscaler, at fifteen seconds each.
const LOOKS: Duration = Duration::from_secs(150);

/// Spins while `/tmp/load` is there.
const BUSY: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: nginx
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "while :; do if [ -e /tmp/load ]; then i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; else sleep 0.5; fi; done"]
        resources: {requests: {cpu: 50m, memory: 8Mi}, limits: {cpu: 200m, memory: 64Mi}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 5}
"#;

/// The first number of a row of `kubectl top`: thousandths of a CPU.
fn cpu(table: &str, name: &str) -> Option<u64> {
    let row = table.lines().find(|line| line.starts_with(name))?;
    row.split_whitespace().find_map(|word| word.strip_suffix('m')?.parse().ok())
}

#[test]
fn a_deployment_grows_under_load_and_shrinks_without() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", BUSY);
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

/// Serves its page for a moment after it was told to end, as a server that
/// drains does.
const WEB: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: main
        image: nginx
        imagePullPolicy: IfNotPresent
        env: [{name: ROUND, value: "1"}]
        lifecycle: {preStop: {exec: {command: [sleep, "2"]}}}
        readinessProbe: {httpGet: {port: 80, path: /}, periodSeconds: 1}
"#;

#[test]
fn a_rolling_update_loses_no_request_and_a_broken_one_is_taken_back() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", WEB);
    kubectl.run("rollout status deployment/web --timeout=60s");
    let address = kubectl.field("service/web", ".spec.clusterIP");
    let url = format!("http://{address}/");
    let fetch = || cluster.run("curl", &["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5", &url]);
    eventually("the service answers", PATIENCE, || {
        let ran = fetch();
        if ran.stdout == "200" { Ok(()) } else { Err(ran.stderr) }
    });

    let rolled = std::sync::atomic::AtomicBool::new(false);
    let (asked, lost) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut asked, mut lost) = (0, Vec::new());
            while !rolled.load(std::sync::atomic::Ordering::Relaxed) {
                let ran = fetch();
                asked += 1;
                if ran.stdout != "200" {
                    lost.push(format!("{} {}", ran.stdout, ran.stderr));
                }
            }
            (asked, lost)
        });
        kubectl.run("set env deployment/web ROUND=2");
        let status = kubectl.try_run("rollout status deployment/web --timeout=120s");
        rolled.store(true, std::sync::atomic::Ordering::Relaxed);
        status.ok();
        client.join().expect("the client ends")
    });
    assert!(asked > 20, "only {asked} requests");
    assert!(lost.is_empty(), "{} of {asked} requests were lost: {lost:?}", lost.len());

    // An image that is not there: nothing of what works is taken away.
    kubectl.run("set image deployment/web main=localhost:1/broken:none");
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

const INDEXED: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: parts}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  backoffLimitPerIndex: 0
  maxFailedIndexes: 3
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: nginx
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "echo part $JOB_COMPLETION_INDEX; [ $JOB_COMPLETION_INDEX != 1 ]"]
"#;

#[test]
fn an_indexed_job_does_each_part_once() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", INDEXED);
    wait_for(&kubectl, "job/parts", r#".status.conditions[?(@.type=="Failed")].reason"#, "FailedIndexes");
    assert_eq!(kubectl.field("job/parts", ".status.completedIndexes"), "0,2");
    assert_eq!(kubectl.field("job/parts", ".status.failedIndexes"), "1");
    let logs = |index: u32| {
        kubectl.run(&format!("logs -l batch.kubernetes.io/job-completion-index={index} --tail=-1"))
    };
    assert_eq!([logs(0), logs(1), logs(2)], ["part 0\n", "part 1\n", "part 2\n"]);
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

const DATABASE: &str = r#"
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
    kubectl.run_with("apply -f -", DATABASE);
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
