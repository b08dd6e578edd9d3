//! Running, stopping, failing, logging.

use std::fs;
use std::time::Duration;

use runtime::*;
use tokio::time::Instant;

use crate::fixture::Node;

pub async fn a_container_runs_logs_and_exits(node: Node) {
    let config = ContainerConfig {
        env: vec![("GREETING".into(), "hello".into())],
        working_dir: "/work/made".into(),
        ..node.container("echo $GREETING from $(pwd); echo oops >&2; printf unfinished; exit 3")
    };
    let (_, status) = node.run("logs", config).await;
    assert_eq!(
        (status.state, status.exit_code, status.reason.as_str(), status.pid),
        (ContainerState::Exited, 3, "Error", 0)
    );
    assert!(
        status.created_at <= status.started_at
            && status.started_at <= status.finished_at
            && status.created_at > 0
    );
    let text = fs::read_to_string(status.log_path.as_ref().unwrap()).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.splitn(4, ' ').collect()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    for expected in
        [["stdout", "F", "hello from /work/made"], ["stderr", "F", "oops"], ["stdout", "F", "unfinished"]]
    {
        assert!(lines.iter().any(|line| line[1..] == expected), "{expected:?} in {text}");
    }
    assert!(lines[0][0].ends_with('Z') && lines[0][0].len() == 30, "{text}");
    let (_, status) = node.run("good", node.container("true")).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
    let (_, status) = node.run("killed", node.container("kill -SEGV $$; kill -KILL $$; sleep 0.1")).await;
    assert!(
        status.exit_code == 0 || status.exit_code > 128,
        "PID 1 gets signals of its own namespace only if it handles them: {}",
        status.exit_code
    );
}

pub async fn logs_are_reopened_after_rotation(node: Node) {
    let sandbox = node.sandbox("rotate").await;
    let id = node
        .start(
            &sandbox,
            node.container("echo before; while ! [ -e /tmp/go ]; do sleep 0.02; done; echo after"),
        )
        .await;
    node.logged(&id, "before").await;
    let path = node.runtime.status(&id).await.unwrap().log_path.unwrap();
    fs::rename(&path, path.with_extension("old")).unwrap();
    node.runtime.reopen_log(&id).await.unwrap();
    node.sh(&id, "touch /tmp/go").await;
    let status = node.exited(&id).await;
    assert_eq!(node.log_text(&status), "after\n");
    assert!(fs::read_to_string(path.with_extension("old")).unwrap().contains("before"));
}

pub async fn stopping_gives_grace_then_kills(node: Node) {
    let sandbox = node.sandbox("stop").await;
    let polite = node
        .start(
            &sandbox,
            node.container("trap 'echo bye; exit 7' TERM; echo up; while true; do sleep 0.05; done"),
        )
        .await;
    node.logged(&polite, "up").await;
    node.runtime.stop_container(&polite, None, Duration::from_secs(10)).await.unwrap();
    let status = node.runtime.status(&polite).await.unwrap();
    assert_eq!(status.exit_code, 7);
    assert!(node.log_text(&status).contains("bye"));
    let config = ContainerConfig {
        log_path: "deaf/0.log".into(),
        ..node.container("trap '' TERM; echo up; while true; do sleep 0.05; done")
    };
    let deaf = node.start(&sandbox, config).await;
    node.logged(&deaf, "up").await;
    let started = Instant::now();
    node.runtime.stop_container(&deaf, Some("SIGTERM"), Duration::from_millis(300)).await.unwrap();
    assert!((300..3000).contains(&(started.elapsed().as_millis() as u64)), "{:?}", started.elapsed());
    assert_eq!(node.runtime.status(&deaf).await.unwrap().exit_code, 137);
    // Again, and after removal: fine.
    node.runtime.stop_container(&deaf, None, Duration::ZERO).await.unwrap();
    node.runtime.remove_container(&deaf).await.unwrap();
    node.runtime.remove_container(&deaf).await.unwrap();
    assert!(matches!(node.runtime.status(&deaf).await, Err(Error::NotFound { .. })));
    node.runtime.stop_sandbox(&sandbox.id).await.unwrap();
    assert!(!sandbox.network_namespace.unwrap().exists());
    assert_eq!(node.runtime.sandbox_status(&sandbox.id).await.unwrap().state, SandboxState::NotReady);
    assert!(node.runtime.create_container(&sandbox.id, node.container("true")).await.is_err());
}

pub async fn what_cannot_start_says_why(node: Node) {
    let sandbox = node.sandbox("broken").await;
    fs::write(node.rootfs().join("plain"), "text").unwrap();
    for (at, (command, expected)) in [
        ("foo", r#"exec: "foo": executable file not found in $PATH"#),
        ("/foo", r#"exec: "/foo": stat /foo: no such file or directory"#),
        ("/etc", r#"exec: "/etc": is a directory"#),
        ("/plain", r#"exec: "/plain": permission denied"#),
    ]
    .into_iter()
    .enumerate()
    {
        let config = ContainerConfig {
            command: vec![command.into()],
            log_path: format!("c/{at}.log").into(),
            ..node.container("")
        };
        let id = node.runtime.create_container(&sandbox.id, config).await.unwrap();
        let error = node.runtime.start_container(&id).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        let status = node.runtime.status(&id).await.unwrap();
        assert_eq!(
            (status.state, status.exit_code, status.reason.as_str()),
            (ContainerState::Exited, 128, "StartError")
        );
        assert!(status.message.ends_with(expected), "{}", status.message);
    }
    let missing = Mount { source: "/no/such/volume".into(), target: "/v".into(), ..Default::default() };
    let id = node
        .runtime
        .create_container(&sandbox.id, ContainerConfig { mounts: vec![missing], ..node.container("true") })
        .await
        .unwrap();
    let error = node.runtime.start_container(&id).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/volume") || error.contains("No such file"), "{error}");
    assert!(node.runtime.create_container(&sandbox.id, ContainerConfig::default()).await.is_err());
}

pub async fn running_out_of_memory_is_told(node: Node) {
    let resources = Resources { memory_limit: Some(16 << 20), ..Default::default() };
    let mut events = node.runtime.events();
    let config = ContainerConfig {
        resources,
        ..node.container("x=$(dd if=/dev/zero bs=1M count=64 2>/dev/null | tr '\\000' x); echo ${#x}")
    };
    let (_, status) = node.run("oom", config).await;
    assert_eq!(status.reason, "OOMKilled", "{status:?}");
    assert_ne!(status.exit_code, 0);
    let mut told = false;
    while let Ok(event) = events.try_recv() {
        told |= matches!(event, Event::ContainerExited { oom_killed: true, .. });
    }
    assert!(told);
}

pub async fn stats_and_limits_are_the_cgroups(node: Node) {
    let sandbox = node.sandbox("stats").await;
    let resources = Resources {
        memory_limit: Some(64 << 20),
        pids_limit: Some(50),
        cpu_shares: Some(512),
        ..Default::default()
    };
    let id = node
        .start(&sandbox, ContainerConfig { resources, ..node.container("while true; do sleep 0.05; done") })
        .await;
    node.sh(&id, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").await;
    let stats = node.runtime.stats(&id).await.unwrap();
    assert!(stats.cpu_usage > 1_000_000 && stats.memory_usage > 0 && stats.pids >= 1, "{stats:?}");
    assert_eq!(stats.memory_limit, Some(64 << 20));
    let pod = node.runtime.sandbox_stats(&sandbox.id).await.unwrap();
    assert!(pod.cpu_usage >= stats.cpu_usage, "{pod:?}");
    node.runtime
        .update_resources(&id, &Resources { memory_limit: Some(128 << 20), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(node.runtime.stats(&id).await.unwrap().memory_limit, Some(128 << 20));
}

pub async fn thirty_pods_at_once(node: Node) {
    node.rootfs();
    let mut alone = Vec::new();
    for number in 0..8 {
        let started = Instant::now();
        let sandbox = node.sandbox(&format!("alone{number}")).await;
        let made = started.elapsed();
        node.start(&sandbox, node.container("true")).await;
        alone.push((started.elapsed(), made));
        node.runtime.remove_sandbox(&sandbox.id).await.unwrap();
    }
    alone.sort();
    println!("    one pod at a time: {:?} until it runs, {:?} of it for the sandbox", alone[4].0, alone[4].1);
    let started = Instant::now();
    let pods = (0..30).map(|number| {
        let node = node.clone();
        async move {
            let sandbox = node.sandbox(&format!("pod{number}")).await;
            node.start(&sandbox, node.container("echo up; sleep 1000")).await
        }
    });
    let ids = futures::future::join_all(pods).await;
    println!("    30 pods started in {:?}", started.elapsed());
    for id in &ids {
        assert_eq!(node.runtime.status(id).await.unwrap().state, ContainerState::Running);
    }
    let pss = shim_memory();
    println!(
        "    memory of {} shims: {} kB PSS, {} kB private, {} kB page tables",
        pss.count, pss.pss, pss.private, pss.tables
    );
    assert!(pss.pss / pss.count.max(1) < 1024, "{pss:?}");
}

#[derive(Debug, Default)]
struct Memory {
    count: u64,
    pss: u64,
    private: u64,
    tables: u64,
}

fn shim_memory() -> Memory {
    let mut all = Memory::default();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if !fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with("corten-shim")) {
            continue;
        }
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |text: &str, name: &str| -> u64 {
            text.lines()
                .find_map(|l| l.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        all.count += 1;
        all.pss += field(&rollup, "Pss:");
        all.private += field(&rollup, "Private_Dirty:") + field(&rollup, "Private_Clean:");
        all.tables += field(&status, "VmPTE:");
    }
    all
}
