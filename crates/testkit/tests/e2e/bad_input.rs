//! What the program says when it cannot go on, and what pods say of their errors.

use std::process::{Command, Stdio};

use testkit::{Cluster, eventually};

use crate::{PATIENCE, cluster, script, wait_for};

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
fn what_a_node_stands_on_is_checked_first() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    std::fs::write(&file, "no directory").expect("written");
    let up = |before: &str, data: &std::path::Path| {
        // A mount namespace of its own, and a network without a way out.
        let program = testkit::program();
        let script = format!(
            "{before}; exec {} up --bind 127.0.0.1:6443 --data-dir {}",
            program.display(),
            data.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", &script]).current_dir(place.path());
        let output = command.stdin(Stdio::null()).output().expect("unshare (util-linux) starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = up("true", &file);
    assert!(said.contains("is a file") && said.contains("--data-dir"), "{said}");
    let hidden = "grep -v overlay /proc/filesystems > known; mount --bind known /proc/filesystems";
    let fresh = place.path().join("fresh");
    let said = up(hidden, &fresh);
    assert!(said.contains("no overlayfs") && said.contains("modprobe overlay"), "{said}");
    assert!(!fresh.exists(), "nothing was begun");
    let full = place.path().join("full");
    let tiny = format!("mkdir {0}; mount -t tmpfs -o size=64k tmpfs {0}", full.display());
    let said = up(&tiny, &full);
    assert!(said.contains("the disk is full") && said.contains("free some space"), "{said}");
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let mut cluster = Cluster::api_server_builder().disk("24m").start();
    let filler = cluster.data_dir().join("filler");
    let large = cluster.data_dir().parent().expect("a directory").join("large");
    std::fs::write(&large, vec![b'x'; 300_000]).expect("written");
    cluster.kubectl().run("create configmap before --from-literal=a=b");
    let filled = cluster.run("dd", &["if=/dev/zero", &format!("of={}", filler.display()), "bs=64k"]);
    assert!(filled.stderr.contains("No space left"), "{filled:?}");
    let write = |name: &str| {
        cluster.kubectl().try_run(&format!("create configmap {name} --from-file={}", large.display()))
    };
    let refused = write("full").refused();
    assert!(refused.contains("the disk is full") && refused.contains("until there is space"), "{refused}");
    assert_eq!(cluster.kubectl().field("configmap/before", ".data.a"), "b");
    assert!(cluster.kubectl().try_run("get --raw /readyz").refused().contains("etcd failed"));
    std::fs::remove_file(&filler).expect("removed");
    eventually("writes are accepted again", PATIENCE, || {
        let ran = write("after");
        if ran.succeeded() { Ok(()) } else { Err(ran.stderr) }
    });
    cluster.kill();
    cluster.boot();
    let names = cluster.kubectl().run("get configmaps -n default -o name");
    assert_eq!(names, "configmap/after\nconfigmap/before\n");
}

#[test]
fn images_that_cannot_be_had_are_told() {
    let cluster = cluster();
    let broken = cluster.data_dir().join("broken.tar");
    std::fs::write(&broken, (0..4096_u32).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>())
        .expect("written");
    let refused = cluster.corten(&["image", "import", &broken.display().to_string()]).refused();
    assert!(refused.contains("broken.tar") && refused.contains("docker save"), "{refused}");
    assert!(refused.is_ascii() && refused.lines().count() == 1, "{refused:?}");
    let refused = cluster.corten(&["image", "import", "/none.tar"]).refused();
    assert!(refused.contains("cannot read the archive /none.tar"), "{refused}");
    let refused = cluster.corten(&["image", "remove", "none"]).refused();
    assert!(refused.contains("\"none\": not found in the image store"), "{refused}");
    // The registry cannot be reached from here: that is told at once.
    let refused = cluster.corten(&["image", "pull", "registry.invalid/none"]).refused();
    assert!(refused.contains("failed to pull image \"registry.invalid/none:latest\""), "{refused}");

    let kubectl = cluster.kubectl();
    kubectl.run_with(
        "apply -f -",
        &script("far", "true").replace("image: nginx", "image: registry.invalid/none:1"),
    );
    kubectl.run_with("apply -f -", &script("odd", "true").replace("image: nginx", "image: 'UPPER CASE'"));
    let reason = |pod: &str| kubectl.field(pod, ".status.containerStatuses[0].state.waiting.reason");
    for (pod, wanted) in [("pod/far", "ImagePull"), ("pod/odd", "InvalidImageName")] {
        eventually("the reason is told", PATIENCE, || {
            let reason = reason(pod);
            if reason.contains(wanted) { Ok(()) } else { Err(reason) }
        });
    }
    let described = kubectl.run("describe pod far");
    assert!(described.contains("Failed to pull image \"registry.invalid/none:1\""), "{described}");
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

/// A ReplicaSet whose pods are labelled `app: APP`.
fn replica_set(name: &str, app: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {app}}}}}
  template:
    metadata: {{labels: {{app: {app}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: nginx, imagePullPolicy: IfNotPresent, command: [sleep, "3600"]}}]
---
"#
    )
}

#[test]
fn what_controllers_cannot_do_they_tell() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    // A specification that no cluster could meet is refused as a whole.
    let impossible = replica_set("bad", "bad").replacen("app: bad", "app: other", 1);
    let refused = kubectl.try_run_with("apply -f -", &impossible).refused();
    assert!(refused.contains("`selector` does not match template `labels`"), "{refused}");
    let refused =
        kubectl.try_run_of(&["create", "cronjob", "odd", "--image=nginx", "--schedule=61 * * * *"]).refused();
    assert!(refused.contains("spec.schedule: Invalid value: \"61 * * * *\""), "{refused}");

    // Two sets that claim the same pods: each keeps to its own.
    kubectl.run_with("apply -f -", &(replica_set("one", "same") + &replica_set("two", "same")));
    for set in ["one", "two"] {
        wait_for(&kubectl, &format!("replicaset/{set}"), ".status.readyReplicas", "1");
    }
    let owners = kubectl.field("pods -l app=same", ".items[*].metadata.ownerReferences[0].name");
    let mut owners: Vec<_> = owners.split(' ').collect();
    owners.sort_unstable();
    assert_eq!(owners, ["one", "two"]);

    // What names an owner that is gone, or that lives elsewhere, goes too.
    let owner = kubectl.field("replicaset/one", ".metadata.uid");
    let owned = |name: &str, owner: &str, uid: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, ownerReferences: [{{apiVersion: apps/v1, kind: \
             ReplicaSet, name: {owner}, uid: {uid}}}]}}\n---\n"
        )
    };
    kubectl.run_with(
        "apply -f -",
        &(owned("kept", "one", &owner) + &owned("left", "none", "4fd0a1d0-0000-4000-8000-000000000000")),
    );
    kubectl.run("wait --for=delete configmap/left --timeout=30s");
    assert_eq!(kubectl.field("configmap/kept", ".metadata.name"), "kept");
    kubectl.run("create namespace elsewhere");
    kubectl.run_with("apply -n elsewhere -f -", &owned("stray", "one", &owner));
    kubectl.run("wait --for=delete configmap/stray -n elsewhere --timeout=30s");

    // A day that never comes.
    kubectl.run_of(&["create", "cronjob", "never", "--image=nginx", "--schedule=0 0 31 2 *"]);
    eventually("the day is told", PATIENCE, || {
        let events = kubectl.run("get events --field-selector=involvedObject.name=never");
        if events.contains("invalid schedule: 0 0 31 2 *") { Ok(()) } else { Err(events) }
    });

    // A quota that blocks, and does not any more.
    let pods = kubectl.run("get pods -o name").lines().count();
    kubectl.run(&format!("create quota few --hard=pods={pods}"));
    wait_for(&kubectl, "quota/few", ".status.used.pods", &pods.to_string());
    kubectl.run("create deployment web --image=nginx -- sleep 3600");
    let failure = r#".status.conditions[?(@.type=="ReplicaFailure")].reason"#;
    wait_for(&kubectl, "deployment/web", failure, "FailedCreate");
    let why = kubectl.field("deployment/web", r#".status.conditions[?(@.type=="ReplicaFailure")].message"#);
    assert!(
        why.contains(&format!(
            "exceeded quota: few, requested: pods=1, used: pods={pods}, limited: pods={pods}"
        )),
        "{why}"
    );
    kubectl.run("delete quota few");
    wait_for(&kubectl, "deployment/web", ".status.replicas", "1");
}
