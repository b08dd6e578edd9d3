//! Logs and exec through the API server.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use testkit::eventually;

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

#[test]
fn exec_has_streams_exit_codes_and_a_terminal() {
    let cluster = cluster();
    for kubectl in cluster.kubectls() {
        kubectl.run_with("apply -f -", &script("shell", "trap exit TERM; while :; do sleep 0.1; done"));
        kubectl.run("wait --for=condition=Ready pod/shell --timeout=60s");
        assert_eq!(kubectl.run_of(&["exec", "shell", "--", "sh", "-c", "echo out; echo err >&2"]), "out\n");
        let failed = kubectl.try_run_of(&["exec", "shell", "--", "sh", "-c", "exit 7"]);
        assert_eq!(failed.code, Some(7), "{failed:?}");
        assert_eq!(kubectl.run_with("exec -i shell -- cat", "through the wire\n"), "through the wire\n");
        let missing = kubectl.try_run("exec shell -- no-such-command").refused();
        assert!(
            missing.contains("no-such-command") && missing.contains("executable file not found"),
            "{missing}"
        );

        // `script` gives kubectl a terminal; its size reaches the container, also when it changes.
        let mut command = cluster.command("script");
        let exec = kubectl.command("exec -it shell -- sh");
        let words: Vec<_> = std::iter::once(exec.get_program())
            .chain(exec.get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        let line = format!("stty rows 33 cols 99; {}", words.join(" "));
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("HOME", cluster.data_dir());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script (bsdutils) starts");
        let mut stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        writeln!(stdin, "stty size; tty; exit").expect("written");
        let mut seen = String::new();
        stdout.read_to_string(&mut seen).expect("read");
        let _ = child.wait();
        assert!(seen.contains("33 99") && seen.contains("/dev/pts/"), "{seen}");
        kubectl.run("delete pod shell --wait=true");
    }
}

#[test]
fn a_follower_sees_lines_as_they_are_written() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with(
        "apply -f -",
        &script("slow", "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo now; sleep 300"),
    );
    kubectl.run("wait --for=condition=Ready pod/slow --timeout=60s");
    let mut follow = kubectl.command("logs -f slow").stdout(Stdio::piped()).spawn().expect("starts");
    let stdout = follow.stdout.take().expect("piped");
    kubectl.run("exec slow -- touch /tmp/go");
    let line = BufReader::new(stdout).lines().next();
    let _ = follow.kill();
    let _ = follow.wait();
    assert_eq!(line.and_then(Result::ok).as_deref(), Some("now"));
}
