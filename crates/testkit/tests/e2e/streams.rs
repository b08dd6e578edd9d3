//! Exec, attach, copies and port-forward through the API server, by every
//! kubectl over WebSockets and over SPDY.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use testkit::{Background, Cluster, Kubectl, eventually};

use crate::{PATIENCE, cluster, script, wait_for};

/// Every kubectl with every way of streaming.
fn every_way(cluster: &Cluster) -> Vec<Kubectl<'_>> {
    cluster.kubectls().into_iter().flat_map(|kubectl| [kubectl.over_spdy(), kubectl]).collect()
}

#[test]
fn commands_have_streams_and_exit_codes() {
    let cluster = cluster();
    cluster.kubectl().run_with("apply -f -", &script("shell", "trap exit TERM; while :; do sleep 0.1; done"));
    cluster.kubectl().run("wait --for=condition=Ready pod/shell --timeout=60s");
    for kubectl in every_way(&cluster) {
        let ran = kubectl.try_run_of(&["exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!((ran.stdout.as_str(), ran.code), ("out\n", Some(7)), "{ran:?}");
        assert!(ran.stderr.starts_with("err\n"), "{ran:?}");
        // The command learns that its input has ended.
        assert_eq!(kubectl.run_with("exec -i shell -- cat", "through the wire\n"), "through the wire\n");
        let missing = kubectl.try_run("exec shell -- no-such-command").refused();
        assert!(missing.contains("no-such-command") && missing.contains("executable file not found"));
        copies_are_whole(&cluster, &kubectl);
    }
    for kubectl in cluster.kubectls() {
        has_a_terminal(&cluster, &kubectl);
    }
    let refused = cluster.kubectl().try_run("exec shell -c none -- true").refused();
    assert!(refused.contains("container none is not valid for pod shell"), "{refused}");
}

/// `script` gives kubectl a terminal; its size reaches the container, also
/// when it changes.
fn has_a_terminal(cluster: &Cluster, kubectl: &Kubectl<'_>) {
    let exec = kubectl.command("exec -it shell -- sh");
    let words: Vec<_> = std::iter::once(exec.get_program())
        .chain(exec.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let line = format!(
        "stty rows 33 cols 99; (until [ -e {grown} ]; do sleep 0.1; done; stty rows 44 cols 111 </dev/tty) & {exec}",
        grown = cluster.data_dir().join("grown").display(),
        exec = words.join(" "),
    );
    // What hangs is to fail, and to tell how far it came.
    let mut command = cluster.command("timeout");
    command.args(["60", "script", "-q", "-e", "-c", &line, "/dev/null"]).env("HOME", cluster.data_dir());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("script (bsdutils) starts");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let (mut all, mut seen) = (String::new(), 0);
    let mut until = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = all[seen..].find(wanted) {
                seen += at + wanted.len();
                return;
            }
            let count = stdout.read(&mut bytes).expect("read");
            assert!(count > 0, "the terminal ended without {wanted:?}: {all}");
            all.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    const PROMPT: &str = "/ # ";
    until(PROMPT);
    writeln!(stdin, "tty; stty size").expect("written");
    until("/dev/pts/");
    until("33 99");
    until(PROMPT);
    let grown = cluster.data_dir().join("grown");
    std::fs::write(&grown, "").expect("written");
    writeln!(stdin, "until [ \"$(stty size)\" != \"33 99\" ]; do sleep 0.1; done; stty size")
        .expect("written");
    until("44 111");
    until(PROMPT);
    writeln!(stdin, "exit 9").expect("written");
    assert_eq!(child.wait().expect("ends").code(), Some(9));
    std::fs::remove_file(&grown).expect("removed");
}

/// `kubectl cp` both ways: a file of tens of MB, and a directory.
fn copies_are_whole(cluster: &Cluster, kubectl: &Kubectl<'_>) {
    let place = tempfile::tempdir().expect("a directory");
    let (there, back) = (place.path().join("there"), place.path().join("back"));
    std::fs::create_dir_all(there.join("deep/er")).expect("made");
    std::fs::write(there.join("deep/er/small"), "small\n").expect("written");
    std::fs::write(there.join("large"), noise(24 << 20)).expect("written");
    kubectl.run(&format!("cp {} shell:/tmp/there", there.display()));
    let inside = kubectl.run("exec shell -- md5sum /tmp/there/large");
    let outside = cluster.run("md5sum", &[&there.join("large").to_string_lossy()]).ok();
    assert_eq!(inside.split(' ').next(), outside.split(' ').next());
    kubectl.run(&format!("cp shell:/tmp/there {}", back.display()));
    let same = |name: &str| read(&back.join(name)) == read(&there.join(name));
    assert!(same("large") && same("deep/er/small"));
    kubectl.run("exec shell -- rm -r /tmp/there");
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes that nothing can pack.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(length).collect()
}

/// Repeats what it reads until its input is closed, and then fails.
const ASKS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    stdin: true
    stdinOnce: true
    command: [sh, -c, "while read -r line; do echo got $line; done; exit 3"]
"#;

#[test]
fn attaching_reaches_the_first_process() {
    let cluster = cluster();
    let names: Vec<String> = (0..every_way(&cluster).len()).map(|at| format!("asks-{at}")).collect();
    for name in &names {
        cluster.kubectl().run_with("apply -f -", &ASKS.replace("NAME", name));
    }
    cluster.kubectl().run("wait --for=condition=Ready pod --all --timeout=60s");
    for (kubectl, name) in every_way(&cluster).into_iter().zip(&names) {
        let ran = kubectl.try_run_with(&format!("attach -i {name}"), "hello\n");
        assert_eq!(ran.stdout, "got hello\n", "{ran:?}");
        // stdinOnce: the first client's end is the end of the input.
        let code = ".status.containerStatuses[0].state.terminated.exitCode";
        wait_for(&kubectl, &format!("pod/{name}"), code, "3");
        assert_eq!(kubectl.run(&format!("logs {name}")), "got hello\n");
        let refused = kubectl.try_run(&format!("attach {name}")).refused();
        assert!(refused.contains("current phase is Failed"), "{refused}");
    }
    for kubectl in cluster.kubectls() {
        let once = "--image=nginx:1 --image-pull-policy=IfNotPresent --restart=Never --rm";
        let mut words: Vec<&str> = vec!["run", "asked", "-i"];
        words.extend(once.split(' '));
        words.extend(["--command", "--", "sh", "-c", "read -r line; echo $line; exit 5"]);
        let mut child =
            kubectl.command_of(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("piped").write_all(b"run, attached, removed\n").expect("written");
        let output = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("run, attached, removed\n"), "{said}");
        assert_eq!(output.status.code(), Some(5));
        assert_eq!(kubectl.run("get pod asked --ignore-not-found"), "");
    }
}

#[test]
fn ports_are_forwarded() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run("create deployment web --image=nginx:1 --port=80");
    kubectl.run("expose deployment web --port=8080 --target-port=80");
    kubectl.run("rollout status deployment/web --timeout=60s");
    let pod = kubectl.run("get pods -l app=web -o name").trim().to_owned();
    let fetch = |port: &str| cluster.run("curl", &["-sS", "-m", "5", &format!("http://127.0.0.1:{port}/")]);
    let targets = ["service/web :8080", "deployment/web :80"];
    let by_pod = format!("{pod} :80");
    let ways = every_way(&cluster).into_iter().map(|way| (way, by_pod.as_str()));
    for (kubectl, target) in ways.chain(targets.map(|target| (kubectl.clone(), target))) {
        let mut forward = Background::start(kubectl.command(&format!("port-forward {target}")));
        let port = local_port(&forward.line());
        for _ in 0..3 {
            let page = fetch(&port).ok();
            assert!(page.contains("Welcome to nginx!"), "{page}");
        }
    }
    // Nobody listens there: the client says so, and the other end is closed.
    let mut command = kubectl.command(&format!("port-forward {pod} :81"));
    let log = tempfile::NamedTempFile::new().expect("a file");
    command.stderr(log.reopen().expect("opened"));
    let mut forward = Background::start(command);
    let port = local_port(&forward.line());
    assert!(!fetch(&port).succeeded());
    eventually("the refusal is told", PATIENCE, || {
        let told = std::fs::read_to_string(log.path()).unwrap_or_default();
        if told.contains("connection refused") { Ok(()) } else { Err(told) }
    });
}

/// Of `Forwarding from 127.0.0.1:PORT -> 80`.
fn local_port(line: &str) -> String {
    let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
    port.unwrap_or_else(|| panic!("no port: {line}")).to_owned()
}
