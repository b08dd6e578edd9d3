//! What a pod may ask of its node, seen from inside the container.

use testkit::eventually;

use crate::{cluster, example, wait_for};

const EVERYTHING: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red, size: "7"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {password: s3cret}
---
apiVersion: v1
kind: Pod
metadata:
  name: everything
  labels: {app: everything}
  annotations: {note: hello}
spec:
  terminationGracePeriodSeconds: 1
  hostname: myself
  initContainers:
  - name: first
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo prepared > /shared/file"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: sidecar
    image: nginx
    imagePullPolicy: IfNotPresent
    restartPolicy: Always
    command: [sh, -c, "sleep 3600"]
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "sleep 3600"]
    env:
    - {name: PLAIN, value: "x-$(COLOR)"}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: hidden, key: password}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    envFrom: [{configMapRef: {name: settings}, prefix: ALL_}]
    securityContext:
      runAsUser: 1000
      runAsGroup: 2000
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      seccompProfile: {type: RuntimeDefault}
    resources:
      requests: {cpu: 50m, memory: 16Mi}
      limits: {cpu: 200m, memory: 64Mi}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /one, subPath: color}
    - {name: hidden, mountPath: /hidden}
    - {name: facts, mountPath: /facts}
    - {name: memory, mountPath: /memory}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden}}
  - name: facts
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"#;

#[test]
fn a_pod_gets_what_it_asks_for() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", EVERYTHING);
    kubectl.run("wait --for=condition=Ready pod/everything --timeout=60s");
    let inside = |script: &str| {
        kubectl.run_of(&["exec", "everything", "-c", "main", "--", "sh", "-c", script]).trim().to_owned()
    };
    for (script, wanted) in [
        ("cat /shared/file", "prepared"),
        ("echo $PLAIN $COLOR $PASSWORD $POD $LIMIT $ALL_size", "x-$(COLOR) red s3cret everything 64 7"),
        ("id -u; id -g", "1000\n2000"),
        ("cat /settings/color /one", "redred"),
        ("cat /hidden/password", "s3cret"),
        ("cat /facts/labels", "app=\"everything\""),
        ("hostname", "myself"),
        ("touch /x 2>&1", "touch: /x: Read-only file system"),
        (
            "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'",
            "CapEff:0000000000000000\nNoNewPrivs:1\nSeccomp:2",
        ),
        ("echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT", "10.96.0.1:443"),
        ("ls /var/run/secrets/kubernetes.io/serviceaccount", "ca.crt\nnamespace\ntoken"),
        ("grep -c '10.96.0.10' /etc/resolv.conf", "1"),
        ("df -m /memory | tail -1 | awk '{print $2}'", "1"),
    ] {
        let script = script.replace("touch /x 2>&1", "touch /x 2>&1 || true");
        assert_eq!(inside(&script), wanted, "{script}");
    }
    assert_eq!(kubectl.field("pod/everything", ".status.qosClass"), "Burstable");

    // A changed ConfigMap reaches its volume at once, not after a period.
    kubectl.run_of(&["patch", "configmap", "settings", "-p", r#"{"data":{"color":"blue"}}"#]);
    eventually("the change reaches the volume", std::time::Duration::from_secs(5), || {
        let color = inside("cat /settings/color");
        if color == "blue" { Ok(()) } else { Err(color) }
    });
}

#[test]
fn probes_hooks_and_restarts_do_their_work() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with(
        "apply -f -",
        r#"
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "while :; do sleep 0.1; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo started > /tmp/hook"]}}
    readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1}
    livenessProbe: {exec: {command: [sh, -c, "[ ! -e /tmp/sick ]"]}, periodSeconds: 1, failureThreshold: 1}
"#,
    );
    wait_for(&kubectl, "pod/probed", ".status.phase", "Running");
    assert_eq!(kubectl.run("exec probed -- cat /tmp/hook"), "started\n");
    let ready = r#".status.conditions[?(@.type=="Ready")].status"#;
    assert_eq!(kubectl.field("pod/probed", ready), "False");
    kubectl.run("exec probed -- touch /tmp/ready");
    wait_for(&kubectl, "pod/probed", ready, "True");
    kubectl.run("exec probed -- touch /tmp/sick");
    wait_for(&kubectl, "pod/probed", ".status.containerStatuses[0].restartCount", "1");
    assert!(kubectl.run("get events").contains("Liveness probe failed"));
}

const LAST_WORDS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: words}
spec:
  restartPolicy: Never
  containers:
  - name: file
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo said > /tmp/last; exit 2"]
    terminationMessagePath: /tmp/last
  - name: log
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo logged; exit 2"]
    terminationMessagePolicy: FallbackToLogsOnError
  - name: none
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo logged; exit 0"]
    terminationMessagePolicy: FallbackToLogsOnError
"#;

#[test]
fn containers_leave_last_words() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", LAST_WORDS);
    wait_for(&kubectl, "pod/words", ".status.phase", "Failed");
    let message = |container: &str| {
        let path = format!(".status.containerStatuses[?(@.name==\"{container}\")].state.terminated.message");
        kubectl.field("pod/words", &path)
    };
    assert_eq!(
        (message("file").as_str(), message("log").as_str(), message("none").as_str()),
        ("said\n", "logged\n", "")
    );
}

const WRITTEN: &str = r##"
apiVersion: v1
kind: Pod
metadata: {name: reads}
spec:
  restartPolicy: Never
  initContainers:
  - name: writes
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "printf \"# made by another\\nKEY='from a file'\\nLINES='one\\ntwo'\\n\" > /shared/env"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo \"$KEY, $LINES, ${NONE-unset}\""]
    env:
    - {name: KEY, valueFrom: {fileKeyRef: {volumeName: shared, path: env, key: KEY}}}
    - {name: LINES, valueFrom: {fileKeyRef: {volumeName: shared, path: env, key: LINES}}}
    - {name: NONE, valueFrom: {fileKeyRef: {volumeName: shared, path: env, key: NONE, optional: true}}}
  volumes: [{name: shared, emptyDir: {}}]
"##;

#[test]
fn variables_come_from_files_of_other_containers() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let applied = kubectl.try_run_with("apply -f -", WRITTEN);
    assert!(applied.succeeded() && applied.stderr.is_empty(), "{applied:?}");
    wait_for(&kubectl, "pod/reads", ".status.phase", "Succeeded");
    assert_eq!(kubectl.run("logs reads"), "from a file, one\ntwo, unset\n");
    let missing = WRITTEN.replace("name: reads", "name: lacks").replace(", optional: true", "");
    kubectl.run_with("apply -f -", &missing);
    wait_for(
        &kubectl,
        "pod/lacks",
        ".status.containerStatuses[0].state.waiting.reason",
        "CreateContainerConfigError",
    );
    let why = kubectl.field("pod/lacks", ".status.containerStatuses[0].state.waiting.message");
    assert!(why.contains("environment variable key \"NONE\" not found in file"), "{why}");
}

/// A server that tells what it is asked, and a pod whose hooks and probe ask
/// it: by name, and by TLS, which it does not speak.
const ASKED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: listens}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [busybox, httpd, -f, -vv, -p, "8099", -h, /etc]
    readinessProbe: {tcpSocket: {host: localhost, port: 8099}, periodSeconds: 1}
"#;

const ASKS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec:
  terminationGracePeriodSeconds: 10
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "trap exit TERM; while :; do sleep 0.1; done"]
    lifecycle:
      postStart: {httpGet: {host: localhost, path: /started, port: 8099, scheme: HTTPS}}
      preStop: {httpGet: {host: localhost, path: /stopping, port: 8099}}
    readinessProbe: {httpGet: {host: localhost, path: /passwd, port: 8099}, periodSeconds: 1}
"#;

#[test]
fn hooks_and_probes_ask_by_http() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    for (manifest, pod) in [(ASKED, "listens"), (ASKS, "asks")] {
        kubectl.run_with("apply -f -", manifest);
        kubectl.run(&format!("wait --for=condition=Ready pod/{pod} --timeout=60s"));
    }
    assert!(kubectl.run("get events").contains("LifecycleHTTPFallback"));
    kubectl.run("delete pod asks --timeout=30s");
    let log = kubectl.run("logs listens");
    for asked in ["/started", "/passwd", "/stopping"] {
        assert!(log.contains(asked), "{asked} in {log}");
    }
}

#[test]
fn a_container_that_takes_too_much_memory_is_told_so() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with(
        "apply -f -",
        r#"
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "exec tail /dev/zero"]
    resources: {limits: {memory: 16Mi}}
"#,
    );
    wait_for(&kubectl, "pod/greedy", ".status.containerStatuses[0].state.terminated.reason", "OOMKilled");
    assert_eq!(kubectl.field("pod/greedy", ".status.phase"), "Failed");
}

#[test]
fn every_node_runs_its_daemon() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", &example("daemonset"));
    kubectl.run("rollout status daemonset/agent --timeout=60s");
    assert_eq!(kubectl.field("pods -l app=agent", ".items[*].status.podIP"), cluster.node_address());
}

const ORDERED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
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
        command: [sh, -c, "sleep 3600"]
        env: [{name: ROUND, value: "1"}]
"#;

#[test]
fn stateful_sets_run_their_pods_in_order() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let applied = kubectl.try_run_with("apply -f -", ORDERED);
    assert!(!applied.stderr.contains("has no effect"), "{applied:?}");
    kubectl.run("rollout status statefulset/db --timeout=60s");
    let names = || kubectl.run("get pods -l app=db -o jsonpath={.items[*].metadata.name}");
    assert_eq!(names(), "db-0 db-1");
    let inside =
        |pod: &str, script: &str| kubectl.run_of(&["exec", pod, "--", "sh", "-c", script]).trim().to_owned();
    assert_eq!(inside("db-1", "hostname"), "db-1");
    let address = kubectl.field("pod/db-1", ".status.podIP");
    eventually("the pod has a name of its own", std::time::Duration::from_secs(10), || {
        let found = inside("db-0", "busybox nslookup db-1.db.default.svc.cluster.local || true");
        if found.contains(&address) { Ok(()) } else { Err(found) }
    });

    kubectl.run("set env statefulset/db ROUND=2");
    kubectl.run("rollout status statefulset/db --timeout=60s");
    assert_eq!(inside("db-0", "echo $ROUND"), "2");
    kubectl.run("rollout undo statefulset/db");
    kubectl.run("rollout status statefulset/db --timeout=60s");
    assert_eq!(inside("db-0", "echo $ROUND"), "1");
    let history = kubectl.run("rollout history statefulset/db");
    assert!(history.contains("3 ") && !history.lines().any(|line| line.starts_with("1 ")), "{history}");

    kubectl.run("scale statefulset/db --replicas=1");
    kubectl.run("wait --for=delete pod/db-1 --timeout=30s");
    assert_eq!(names(), "db-0");
    let described = kubectl.run("describe statefulset db");
    for wanted in
        ["create Pod db-0 in StatefulSet db successful", "delete Pod db-1 in StatefulSet db successful"]
    {
        assert!(described.contains(wanted), "{wanted} in {described}");
    }
}

#[test]
fn cron_jobs_start_jobs_by_the_clock_and_by_hand() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    // Nobody waits a minute for the first.
    let often = example("cronjob").replace("* * * * *", "@every 1s");
    let applied = kubectl.try_run_with("apply -f -", &often);
    assert!(!applied.stderr.contains("has no effect"), "{applied:?}");
    eventually("a Job has completed", crate::PATIENCE, || {
        let last = kubectl.field("cronjob/hello", ".status.lastSuccessfulTime");
        if last.is_empty() { Err(kubectl.run("get cronjobs,jobs,pods")) } else { Ok(()) }
    });
    kubectl.run_of(&["patch", "cronjob", "hello", "-p", r#"{"spec":{"suspend":true}}"#]);
    kubectl.run("create job --from=cronjob/hello once");
    kubectl.run("wait --for=condition=complete job/once --timeout=60s");
    assert_eq!(kubectl.run("logs job/once"), "hello\n");
    let described = kubectl.run("describe cronjob hello");
    for wanted in ["SuccessfulCreate", "SawCompletedJob", "Created job hello-"] {
        assert!(described.contains(wanted), "{wanted} in {described}");
    }
    // What it started goes with it.
    kubectl.run("delete cronjob hello");
    kubectl.run("wait --for=delete jobs --all --timeout=60s");
}
