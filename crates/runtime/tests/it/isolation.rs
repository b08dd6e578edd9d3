//! What a container may and may not.

use std::fs;

use runtime::*;

use crate::fixture::Node;

fn with_security(node: &Node, script: &str, security: SecurityContext) -> ContainerConfig {
    ContainerConfig { security, ..node.container(script) }
}

pub async fn namespaces_are_the_pods(node: Node) {
    let sandbox = node.sandbox("ns").await;
    let first = node
        .start(&sandbox, node.container("echo shared > /dev/shm/file; while true; do sleep 0.05; done"))
        .await;
    let second = node
        .start(
            &sandbox,
            ContainerConfig {
                log_path: "b/0.log".into(),
                ..node.container("while true; do sleep 0.05; done")
            },
        )
        .await;
    let link = |id: ContainerId, name: &'static str| {
        let node = node.clone();
        async move {
            String::from_utf8(
                node.sh(&id, &format!("ls -l /proc/self/ns/{name} | tr -d '\\n' | tr ' ' '\\n'"))
                    .await
                    .stdout,
            )
            .unwrap()
            .lines()
            .last()
            .unwrap()
            .to_owned()
        }
    };
    for (name, same) in [("net", true), ("ipc", true), ("uts", true), ("pid", false), ("mnt", false)] {
        assert_eq!(link(first.clone(), name).await == link(second.clone(), name).await, same, "{name}");
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        assert_ne!(link(first.clone(), name).await, own, "{name}");
    }
    assert_eq!(node.sh(&second, "cat /dev/shm/file; hostname").await.stdout, b"shared\nns\n");
    assert_eq!(node.sh(&first, "cat /sys/class/net/lo/flags").await.stdout, b"0x9\n");
    assert_eq!(node.sh(&first, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start").await.stdout, b"0\n");
    assert_eq!(
        node.sh(&first, "echo 1 > /proc/sys/net/ipv4/ip_forward").await.exit_code,
        1,
        "/proc/sys is read-only"
    );
    assert_eq!(node.sh(&first, "cat /proc/kcore | head -c 1 | wc -c").await.stdout, b"0\n");
}

pub async fn user_and_capabilities_hold(node: Node) {
    let user = User { uid: 1000, gid: 1000, additional_gids: vec![2000] };
    let config = ContainerConfig { user: user.clone(), ..node.container("id -u; id -g; id -G; grep CapEff /proc/self/status; echo $HOME; echo again > /dev/stdout; while true; do sleep 0.05; done") };
    let sandbox = node.sandbox("user").await;
    let id = node.start(&sandbox, config).await;
    node.logged(&id, "again").await;
    let text = node.log_text(&node.runtime.status(&id).await.unwrap());
    assert_eq!(text, "1000\n1000\n1000 2000\nCapEff:\t0000000000000000\n/home/user\nagain\n");
    assert_eq!(
        node.sh(&id, "id -u; id -G; grep CapEff /proc/self/status").await.stdout,
        b"1000\n1000 2000\nCapEff:\t0000000000000000\n"
    );
    let drop_all = SecurityContext {
        drop_capabilities: vec!["ALL".into()],
        add_capabilities: vec!["CHOWN".into()],
        no_new_privileges: true,
        ..Default::default()
    };
    let (text, _) = node
        .run("caps", with_security(&node, "grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status", drop_all))
        .await;
    assert_eq!(text, "CapEff:\t0000000000000001\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\n");
    let (text, _) = node.run("default", node.container("grep CapEff /proc/self/status")).await;
    assert_eq!(text, "CapEff:\t00000000a80425fb\n");
}

pub async fn root_can_be_read_only(node: Node) {
    fs::create_dir_all(node.directory.path().join("volume")).unwrap();
    let mount = |target: &str, readonly| Mount {
        source: node.directory.path().join("volume"),
        target: target.into(),
        readonly,
        ..Default::default()
    };
    let config = ContainerConfig {
        mounts: vec![mount("/rw", false), mount("/ro", true)],
        ..with_security(
            &node,
            "touch /x; touch /ro/x; touch /rw/x && echo written; touch /dev/shm/y && echo shm",
            SecurityContext { readonly_rootfs: true, ..Default::default() },
        )
    };
    let (text, _) = node.run("readonly", config).await;
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    assert!(text.contains("written") && text.contains("shm"), "{text}");
    assert!(node.directory.path().join("volume/x").exists());
}

pub async fn seccomp_holds_for_container_and_exec(node: Node) {
    let sandbox = node.sandbox("seccomp").await;
    let security = SecurityContext { seccomp: SeccompProfile::RuntimeDefault, ..Default::default() };
    let id = node.start(&sandbox, with_security(&node, "grep '^Seccomp:' /proc/self/status; unshare -m true || echo refused; while true; do sleep 0.05; done", security)).await;
    node.logged(&id, "refused").await;
    assert!(node.log_text(&node.runtime.status(&id).await.unwrap()).starts_with("Seccomp:\t2\n"));
    assert_eq!(node.sh(&id, "grep '^Seccomp:' /proc/self/status").await.stdout, b"Seccomp:\t2\n");
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let security = SecurityContext {
        seccomp: SeccompProfile::Localhost(profile.into()),
        no_new_privileges: true,
        ..Default::default()
    };
    let (text, _) = node.run("local", with_security(&node, "mkdir /tmp/d || echo refused", security)).await;
    assert!(text.contains("refused"), "{text}");
}

pub async fn devices_are_refused(node: Node) {
    // A block device that exists everywhere or not at all makes no difference:
    // the group refuses before the driver is asked.
    let script = "mknod /tmp/disk b 254 0; cat /tmp/disk 2>&1 | head -c 100; rm /tmp/disk; echo null > /dev/null && echo fine";
    let (text, _) = node.run("devices", node.container(script)).await;
    assert!(text.contains("Operation not permitted") && text.contains("fine"), "{text}");
}

pub async fn shared_processes_have_an_init_that_reaps(node: Node) {
    let config = SandboxConfig { share_process_namespace: true, ..node.sandbox_config("shared") };
    let sandbox = node.runtime.run_sandbox(config).await.unwrap();
    let security = SecurityContext { add_capabilities: vec!["SYS_PTRACE".into()], ..Default::default() };
    let first = node.start(&sandbox, with_security(&node, "while true; do sleep 0.05; done", security)).await;
    let second = node
        .start(&sandbox, ContainerConfig { log_path: "b/0.log".into(), ..node.container("exec sleep 5555") })
        .await;
    let seen = String::from_utf8(node.sh(&first, "ps; cat /proc/1/comm").await.stdout).unwrap();
    assert!(seen.contains("sleep 5555") && seen.ends_with("corten-init\n"), "{seen}");
    // The init's root is empty: no way to the node's files through it.
    let root =
        String::from_utf8(node.sh(&first, "ls /proc/1/root/ 2>/dev/null | wc -l").await.stdout).unwrap();
    assert_eq!(root, "0\n");
    // An orphan is reaped.
    node.sh(&first, "(sh -c 'sleep 0.1 & exit' &)").await;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    // The container's own loop has a dead child now and then; the init has none.
    let count =
        "for s in /proc/[0-9]*/status; do grep -q '^State:.Z' $s && grep '^PPid:.1$' $s; done | wc -l";
    let zombies = String::from_utf8(node.sh(&first, count).await.stdout).unwrap();
    assert_eq!(zombies, "0\n");
    node.runtime.stop_container(&second, None, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(node.runtime.status(&first).await.unwrap().state, ContainerState::Running);
}

/// CVE-2019-5736: what enters a container must not be writable through
/// /proc/PID/exe. A privileged container, the worst case, tries.
pub async fn the_program_cannot_be_overwritten(node: Node) {
    let program = std::env::current_exe().unwrap();
    let before = fs::metadata(&program).unwrap();
    let sandbox = node.sandbox("attack").await;
    let security = SecurityContext { privileged: true, ..Default::default() };
    // The command is the program itself, so that it stays open to be looked at:
    // a link to /proc/self/exe, as the published attack does.
    let link = node.rootfs().join("bin/attack");
    std::os::unix::fs::symlink("/proc/self/exe", &link).unwrap();
    let id = node.start(&sandbox, with_security(&node, "while true; do sleep 0.05; done", security)).await;
    // Keep looking for a foreign process and write to whatever it runs.
    let attacker = "n=0; while [ $n -lt 300 ]; do n=$((n+1)); for p in /proc/[0-9]*; do \
        case $(cat $p/comm 2>/dev/null) in corten*|it*|youki*) (echo x >> $p/exe) 2>>/tmp/said && echo OVERWRITTEN;; esac; done; done; echo done";
    let attack = node
        .runtime
        .exec(
            &id,
            ExecOptions {
                command: vec!["/bin/sh".into(), "-c".into(), attacker.into()],
                stdout: true,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    for _ in 0..40 {
        let _ = node.runtime.exec_sync(&id, &["/bin/attack".into()], std::time::Duration::from_secs(2)).await;
    }
    let mut text = String::new();
    let mut stdout = attack.stdout.unwrap();
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text).await.unwrap();
    assert!(!text.contains("OVERWRITTEN"), "{text}");
    // And the file that shims run from refuses a writer even on the node.
    let shim = shim_of(&node).expect("a shim runs");
    let refused = fs::OpenOptions::new().append(true).open(format!("/proc/{shim}/exe")).unwrap_err();
    assert!(matches!(refused.raw_os_error(), Some(30 | 1 | 26)), "EROFS or a seal: {refused}");
    println!("    opening a shim's program for writing: {refused}");
    let after = fs::metadata(&program).unwrap();
    assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
}

fn shim_of(node: &Node) -> Option<u32> {
    let _ = node;
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let is_shim =
            fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with("corten-shim"));
        is_shim.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    })
}

pub async fn host_namespaces_are_the_nodes(node: Node) {
    let config =
        SandboxConfig { host_network: true, host_pid: true, host_ipc: true, ..node.sandbox_config("host") };
    let sandbox = node.runtime.run_sandbox(config).await.unwrap();
    assert!(sandbox.network_namespace.is_none());
    let id = node.start(&sandbox, node.container("sleep 4444 & while true; do sleep 0.05; done")).await;
    for name in ["net", "pid", "ipc", "uts"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        let seen =
            String::from_utf8(node.sh(&id, &format!("ls -l /proc/self/ns/{name}")).await.stdout).unwrap();
        assert!(seen.contains(&own), "{name}: {seen}");
    }
    // Without a process namespace of its own, what it left running is killed too.
    node.runtime.stop_container(&id, None, std::time::Duration::ZERO).await.unwrap();
    let runs = || {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x004444\x00")
        })
    };
    // A killed process needs a moment to be gone.
    for _ in 0..100 {
        if !runs() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("its child still runs");
}
