//! `kubectl debug` of pods and nodes.

use testkit::{Kubectl, Ran, eventually};

use crate::{PATIENCE, cluster, script, wait_for};

/// `kubectl debug ARGUMENTS -- sh -c SCRIPT`, attached.
fn debug(kubectl: &Kubectl<'_>, arguments: &str, script: &str) -> Ran {
    let mut words = vec!["debug", "-i", "--image=nginx:1", "--image-pull-policy=IfNotPresent"];
    words.extend(arguments.split(' '));
    words.extend(["--", "sh", "-c", script]);
    kubectl.try_run_of(&words)
}

#[test]
fn a_running_pod_gets_a_container_more() {
    let cluster = cluster();
    for (at, kubectl) in cluster.kubectls().into_iter().enumerate() {
        let pod = format!("pod/sick-{at}");
        let patient = "echo patient > /tmp/mark; exec sleep 3600";
        kubectl.run_with("apply -f -", &script(&format!("sick-{at}"), patient));
        kubectl.run(&format!("wait --for=condition=Ready {pod} --timeout=60s"));
        // It has the pod's network, and with a target its processes and their files.
        let look = "hostname -i; ps; cat /proc/1/root/tmp/mark; exit 4";
        let ran = debug(&kubectl, &format!("{pod} -c doctor --target=main --profile=general"), look);
        let container = |path: &str| {
            kubectl.field(&pod, &format!(".status.ephemeralContainerStatuses[?(@.name==\"doctor\")].{path}"))
        };
        eventually("its end is told", PATIENCE, || match container("state.terminated.exitCode").as_str() {
            "4" => Ok(()),
            other => Err(format!("{other:?} {ran:?}")),
        });
        let log = kubectl.run(&format!("logs {pod} -c doctor"));
        for wanted in [kubectl.field(&pod, ".status.podIP").as_str(), "sleep 3600", "patient"] {
            assert!(log.contains(wanted), "{wanted} in {log}");
        }
        assert_eq!(container("restartCount"), "0");
        assert_eq!(kubectl.field(&pod, ".status.phase"), "Running");
        assert!(kubectl.run("get events -o yaml").contains("spec.ephemeralContainers{doctor}"));
        assert!(kubectl.run(&format!("describe {pod}")).contains("Ephemeral Containers:"));

        // One that stays ends with its pod.
        kubectl.run(&format!("debug {pod} -c nurse --image=nginx:1 --profile=general -- sleep 3600"));
        eventually("it runs", PATIENCE, || {
            let running =
                kubectl.field(&pod, ".status.ephemeralContainerStatuses[*].state.running.startedAt");
            if running.is_empty() { Err(kubectl.run(&format!("get {pod} -o yaml"))) } else { Ok(()) }
        });
        kubectl.run(&format!("delete {pod} --timeout=30s"));

        let copy = format!("copy-{at}");
        kubectl.run_with("apply -f -", &script(&format!("crashes-{at}"), "exit 1"));
        let ran = debug(
            &kubectl,
            &format!("crashes-{at} --copy-to={copy} --container=main --profile=general"),
            "echo alive; sleep 1",
        );
        assert!(ran.succeeded(), "{ran:?}");
        assert_eq!(kubectl.run(&format!("logs {copy} -c main")), "alive\n");
        kubectl.run(&format!("delete pod {copy} crashes-{at}"));
    }
}

#[test]
fn a_node_is_looked_at_from_a_pod() {
    let cluster = cluster();
    for kubectl in cluster.kubectls() {
        let node = kubectl.run("get nodes -o name");
        let look = "chroot /host cat /etc/os-release; ps | head -n 40; exit 6";
        let ran = debug(&kubectl, &format!("{} --profile=sysadmin", node.trim()), look);
        let pods = kubectl.run("get pods -o name");
        let pod = pods.trim();
        assert!(pod.starts_with("pod/node-debugger-"), "{pods} {ran:?}");
        wait_for(&kubectl, pod, ".status.containerStatuses[0].state.terminated.exitCode", "6");
        let log = kubectl.run(&format!("logs {pod}"));
        let os = std::fs::read_to_string("/etc/os-release").expect("a system has it");
        assert!(log.starts_with(&os), "{log}");
        assert!(log.contains("PID"), "{log}");
        kubectl.run(&format!("delete {pod}"));
    }
}
