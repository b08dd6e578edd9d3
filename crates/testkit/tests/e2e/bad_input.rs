//! What the program says when it cannot go on, and what pods say of their errors.

use std::process::{Command, Stdio};

use testkit::{Cluster, eventually};

use crate::{PATIENCE, cluster, script};

#[test]
fn refusals_are_sentences_with_what_to_do() {
    let mut cluster = Cluster::start();
    let up = |cluster: &Cluster, arguments: &[&str]| {
        let mut all = vec!["up"];
        all.extend(arguments);
        cluster.corten(&all).refused()
    };
    // The same data directory, the same port.
    let second = up(&cluster, &["--bind", "192.0.2.10:7443"]);
    assert!(second.contains("in use"), "{second}");
    let other = tempfile::tempdir().expect("a directory");
    let mut command = cluster.command(&format!("/proc/{}/exe", cluster.pid()));
    command.args(["up", "--bind", &cluster.address(), "--data-dir"]).arg(other.path());
    let output = command.stdin(Stdio::null()).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("in use") && said.contains("--bind"), "{said}");

    cluster.stop();
    let database = std::fs::read_dir(cluster.data_dir()).expect("the data").flatten().find_map(|entry| {
        let path = entry.path();
        let inner = if path.is_dir() {
            std::fs::read_dir(&path).ok()?.flatten().map(|entry| entry.path()).collect()
        } else {
            vec![path]
        };
        inner
            .into_iter()
            .find(|path| path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite"))
    });
    let database = database.expect("a database");
    let kept = std::fs::read(&database).expect("read");
    std::fs::write(&database, b"this is not a database, and a long text that says so").expect("written");
    let said = up(&cluster, &["--bind", "192.0.2.10:6443"]);
    assert!(said.contains(&database.display().to_string()), "{said}");
    assert_eq!(
        std::fs::read(&database).expect("read"),
        b"this is not a database, and a long text that says so"
    );
    std::fs::write(&database, kept).expect("written");

    let certificate = cluster.data_dir().join("pki/ca.crt");
    let kept = std::fs::read(&certificate).expect("a certificate");
    std::fs::write(&certificate, "scratched").expect("written");
    let said = up(&cluster, &["--bind", "192.0.2.10:6443"]);
    assert!(said.contains("ca.crt"), "{said}");
    std::fs::write(&certificate, kept).expect("written");
    cluster.boot();
}

#[test]
fn a_node_needs_root() {
    let cluster = Cluster::start();
    let program = format!("/proc/{}/exe", cluster.pid());
    let copy = tempfile::tempdir().expect("a directory");
    let corten = copy.path().join("corten");
    std::fs::copy(program, &corten).expect("copied");
    let _ = Command::new("chmod").arg("-R").arg("a+rx").arg(copy.path()).status();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&corten)
        .args(["up", "--data-dir", "/tmp/corten-nobody"])
        .output()
        .expect("setpriv (util-linux) starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("root"), "{said}");
}

#[test]
fn pods_tell_their_errors() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    let missing = script("missing", "true")
        .replace("image: nginx", "image: nginx:none")
        .replace("IfNotPresent", "Never");
    kubectl.run_with("apply -f -", &missing);
    let absent = script("absent", "true").replace("[sh, -c, \"true\"]", "[/no/such/command]");
    kubectl.run_with("apply -f -", &absent);
    eventually("the missing image is told", PATIENCE, || {
        let reason = kubectl.field("pod/missing", ".status.containerStatuses[0].state.waiting.reason");
        if reason == "ErrImageNeverPull" { Ok(()) } else { Err(reason) }
    });
    eventually("the kernel's word is in an event", PATIENCE, || {
        let events = kubectl.run("get events");
        if events.contains("/no/such/command") && events.contains("no such file or directory") {
            Ok(())
        } else {
            Err(events)
        }
    });
}
