//! What containers write, as kubectl shows it.

use std::process::Stdio;

use testkit::{Background, eventually};

use crate::{PATIENCE, cluster, script, wait_for};

#[test]
fn logs_are_read_followed_and_kept_of_the_previous_container() {
    let cluster = cluster();
    for kubectl in cluster.kubectls() {
        kubectl.run_with("apply -f -", &script("talks", "echo one; echo two; echo three; sleep 300"));
        eventually("three lines", PATIENCE, || {
            let log = kubectl.try_run("logs talks").stdout;
            if log == "one\ntwo\nthree\n" { Ok(()) } else { Err(log) }
        });
        assert_eq!(kubectl.run("logs talks --tail=1"), "three\n");
        assert_eq!(kubectl.run("logs -l app=talks --tail=2"), "two\nthree\n");
        assert!(kubectl.run("logs talks --timestamps --tail=1").contains("Z three"));
        assert_eq!(kubectl.run("logs talks --limit-bytes=5"), "one\nt");
        assert_eq!(kubectl.run("logs talks --since-time=2999-01-01T00:00:00Z"), "");
        assert_eq!(kubectl.run("logs talks --since=1h --tail=1"), "three\n");

        kubectl.run_with("apply -f -", &script("counts", "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done"));
        wait_for(&kubectl, "pod/counts", ".status.phase", "Succeeded");
        assert_eq!(kubectl.run("logs -f counts"), "1\n2\n3\n4\n5\n");

        let crashing = script("crashes", "echo before; exit 3").replace("Never", "Always");
        kubectl.run_with("apply -f -", &crashing);
        eventually("a restart", PATIENCE, || {
            let restarts = kubectl.field("pod/crashes", ".status.containerStatuses[0].restartCount");
            if restarts.parse::<u32>().is_ok_and(|count| count > 0) { Ok(()) } else { Err(restarts) }
        });
        assert_eq!(kubectl.run("logs crashes --previous"), "before\n");
        assert_eq!(
            kubectl.field("pod/crashes", ".status.containerStatuses[0].lastState.terminated.exitCode"),
            "3"
        );
        kubectl.run("delete pod talks counts crashes --wait=true");
    }
}

const TWO: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: two}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: nginx, imagePullPolicy: IfNotPresent, command: [sh, -c, echo first]}
  containers:
  - {name: a, image: nginx, imagePullPolicy: IfNotPresent, command: [sh, -c, echo from a; sleep 300]}
  - {name: b, image: nginx, imagePullPolicy: IfNotPresent, command: [sh, -c, echo from b; sleep 300]}
"#;

#[test]
fn logs_of_many_containers_and_of_none() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", TWO);
    kubectl.run("wait --for=condition=Ready pod/two --timeout=60s");
    let sorted = |log: String| {
        let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(", ")
    };
    assert_eq!(sorted(kubectl.run("logs two --all-containers")), "first, from a, from b");
    assert_eq!(
        sorted(kubectl.run("logs two --all-containers --prefix --tail=1")),
        "[pod/two/a] from a, [pod/two/b] from b, [pod/two/first] first"
    );
    let many = kubectl.try_run("logs -f -l app=two --all-containers --max-log-requests=2").refused();
    assert!(many.contains("you are attempting to follow 3 log streams"), "{many}");
    let none = kubectl.try_run("logs two -c a --previous").refused();
    let said = "(BadRequest): previous terminated container \"a\" in pod \"two\" not found";
    assert!(none.contains(said), "{none}");

    let absent = script("absent", "true").replace("image: nginx", "image: nginx:none");
    kubectl.run_with("apply -f -", &absent.replace("IfNotPresent", "Never"));
    wait_for(
        &kubectl,
        "pod/absent",
        ".status.containerStatuses[0].state.waiting.reason",
        "ErrImageNeverPull",
    );
    let waiting = kubectl.try_run("logs absent").refused();
    let said = "container \"main\" in pod \"absent\" is waiting to start: ErrImageNeverPull";
    assert!(waiting.contains(said), "{waiting}");
    // What no node has taken has said nothing.
    kubectl
        .run_with("apply -f -", &script("unbound", "true").replace("spec:", "spec:\n  schedulerName: none"));
    assert_eq!(kubectl.run("logs unbound"), "");
}

#[test]
fn a_follower_sees_lines_as_they_are_written() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let waiting = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo now; sleep 300";
    kubectl.run_with("apply -f -", &script("slow", waiting));
    kubectl.run("wait --for=condition=Ready pod/slow --timeout=60s");
    let mut follow = kubectl.command("logs -f slow");
    follow.stderr(Stdio::null());
    let mut follow = Background::start(follow);
    kubectl.run("exec slow -- touch /tmp/go");
    assert_eq!(follow.line(), "now");
}
