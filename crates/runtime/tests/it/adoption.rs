//! What happens when the program or a shim dies.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use runtime::spawner::Spawner;
use runtime::*;

use crate::fixture::Node;

/// First argument of the process that is killed.
pub const CHILD: &str = "run-two-containers-and-wait";

/// In that process: starts two containers in the state directory and waits to
/// be killed.
pub async fn child(directory: &str, spawner: Spawner) {
    let directory = Path::new(directory);
    let runtime = Embedded::open(directory.join("state"), spawner, edge::Edge::system()).await.unwrap();
    let name = directory.file_name().unwrap().to_str().unwrap();
    let sandbox = runtime
        .run_sandbox(SandboxConfig {
            uid: "u".into(),
            name: "adopted".into(),
            hostname: "adopted".into(),
            cgroup_parent: format!("/corten/test/{name}/adopted"),
            log_directory: directory.join("logs"),
            ..Default::default()
        })
        .await
        .unwrap();
    for (name, script) in [
        ("long", "echo up; while true; do sleep 0.05; done"),
        ("short", "echo up; while ! [ -e /tmp/go ]; do sleep 0.02; done; exit 9"),
    ] {
        let config = ContainerConfig {
            name: name.into(),
            rootfs: directory.join("rootfs"),
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            log_path: format!("{name}.log").into(),
            ..Default::default()
        };
        let id = runtime.create_container(&sandbox.id, config).await.unwrap();
        runtime.start_container(&id).await.unwrap();
    }
    println!("READY");
    std::future::pending::<()>().await;
}

pub async fn containers_survive_the_program(node: Node) {
    let root = node.rootfs();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, node.directory.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = BufReader::new(program.stdout.take().unwrap())
        .lines()
        .map_while(std::result::Result::ok)
        .any(|line| line == "READY");
    assert!(ready);
    program.kill().unwrap();
    program.wait().unwrap();
    // One ends while nobody watches.
    std::fs::write(root.join("tmp/go"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let node = Node { runtime: node.reopened().await.into(), ..node };
    let sandboxes = node.runtime.list().await.unwrap();
    assert_eq!(sandboxes.len(), 1);
    assert_eq!((sandboxes[0].state, sandboxes[0].config.name.as_str()), (SandboxState::Ready, "adopted"));
    assert!(sandboxes[0].network_namespace.as_ref().unwrap().exists());
    let [long, short] = sandboxes[0].containers.as_slice() else { panic!("{sandboxes:?}") };
    assert_eq!((long.state, short.state), (ContainerState::Running, ContainerState::Exited));
    assert_eq!((short.exit_code, short.reason.as_str()), (9, "Error"));
    assert!(long.pid > 0 && Path::new(&format!("/proc/{}", long.pid)).exists());
    // It goes on as before: exec, log, stop, and news of its end.
    assert_eq!(node.sh(&long.id, "hostname").await.stdout, b"adopted\n");
    let mut events = node.runtime.events();
    node.runtime.stop_container(&long.id, None, Duration::from_millis(100)).await.unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::ContainerExited { exit_code: 137, .. }));
}

pub async fn a_dead_shim_is_cleaned_up(node: Node) {
    let sandbox = node.sandbox("orphan").await;
    let id = node.start(&sandbox, node.container("while true; do sleep 0.05; done")).await;
    let pid = node.runtime.status(&id).await.unwrap().pid;
    let shim = parent_shim(pid).await;
    let mut events = node.runtime.events();
    Command::new("kill").args(["-9", &shim.to_string()]).status().unwrap();
    let mut gone = false;
    while !gone {
        gone = matches!(
            tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap(),
            Event::SandboxGone { .. }
        );
    }
    let status = node.runtime.status(&id).await.unwrap();
    assert_eq!(
        (status.state, status.reason.as_str(), status.exit_code),
        (ContainerState::Exited, "ContainerStatusUnknown", 137)
    );
    assert_eq!(node.runtime.sandbox_status(&sandbox.id).await.unwrap().state, SandboxState::NotReady);
    assert!(!sandbox.network_namespace.unwrap().exists());
    assert!(matches!(
        node.runtime.exec_sync(&id, &["true".into()], Duration::ZERO).await,
        Err(Error::ShimGone { .. })
    ));
    node.runtime.stop_sandbox(&sandbox.id).await.unwrap();
    node.runtime.remove_sandbox(&sandbox.id).await.unwrap();
}

/// The shim that is the parent of a container's first process. For a moment
/// after a start, the worker that forked it still is.
async fn parent_shim(pid: i32) -> i32 {
    for _ in 0..200 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let parent: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let command = std::fs::read_to_string(format!("/proc/{parent}/cmdline")).unwrap_or_default();
        let stat_of_parent = std::fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
        let session = |text: &str| {
            text.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)?.parse::<i32>().ok())
        };
        // The shim leads its session; a worker is only in it.
        if !command.is_empty() && session(&stat_of_parent) == Some(parent) {
            return parent;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the container's parent is no shim");
}
