//! A node for one test: a runtime on a state directory of its own, and a root
//! file system out of busybox.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime::spawner::Spawner;
use runtime::*;

pub const APPLETS: [&str; 30] = [
    "sh", "cat", "echo", "sleep", "id", "ls", "mkdir", "touch", "hostname", "ps", "kill", "true", "false",
    "head", "dd", "stty", "nc", "env", "pwd", "tr", "wc", "grep", "mknod", "mount", "chroot", "unshare",
    "tty", "rm", "ln", "od",
];

pub fn can_run() -> bool {
    rustix_is_root() && Path::new("/bin/busybox").exists()
}

fn rustix_is_root() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().lines().any(|l| l.starts_with("Uid:\t0\t0"))
}

#[derive(Clone)]
pub struct Node {
    pub runtime: Arc<Embedded>,
    pub directory: Arc<tempfile::TempDir>,
    pub spawner: Spawner,
    pub cgroup: String,
}

impl Node {
    pub async fn open(spawner: Spawner) -> Self {
        let directory = tempfile::Builder::new().prefix("ctn-runtime-").tempdir().unwrap();
        let runtime = Embedded::open(directory.path().join("state"), spawner.clone(), edge::Edge::system())
            .await
            .unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap().to_owned();
        Self {
            runtime: Arc::new(runtime),
            cgroup: format!("/corten/test/{name}"),
            directory: Arc::new(directory),
            spawner,
        }
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The same state opened by a "new program".
    pub async fn reopened(&self) -> Embedded {
        Embedded::open(self.state(), self.spawner.clone(), edge::Edge::system()).await.unwrap()
    }

    pub fn sandbox_config(&self, name: &str) -> SandboxConfig {
        SandboxConfig {
            uid: name.into(),
            name: name.into(),
            namespace: "test".into(),
            hostname: name.into(),
            cgroup_parent: format!("{}/{name}", self.cgroup),
            log_directory: self.directory.path().join("logs").join(name),
            ..Default::default()
        }
    }

    pub async fn sandbox(&self, name: &str) -> Sandbox {
        self.runtime.run_sandbox(self.sandbox_config(name)).await.unwrap()
    }

    /// A root file system with busybox.
    pub fn rootfs(&self) -> PathBuf {
        let root = self.directory.path().join("rootfs");
        if !root.exists() {
            rootfs(&root);
        }
        root
    }

    pub fn container(&self, script: &str) -> ContainerConfig {
        ContainerConfig {
            name: "main".into(),
            rootfs: self.rootfs(),
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            log_path: "main/0.log".into(),
            ..Default::default()
        }
    }

    pub async fn start(&self, sandbox: &Sandbox, config: ContainerConfig) -> ContainerId {
        let id = self.runtime.create_container(&sandbox.id, config).await.unwrap();
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    /// Runs a script in a sandbox of its own to its end; its output and status.
    pub async fn run(&self, name: &str, config: ContainerConfig) -> (String, ContainerStatus) {
        let sandbox = self.sandbox(name).await;
        let id = self.start(&sandbox, config).await;
        let status = self.exited(&id).await;
        (self.log_text(&status), status)
    }

    pub async fn exited(&self, id: &ContainerId) -> ContainerStatus {
        let mut events = self.runtime.events();
        loop {
            let status = self.runtime.status(id).await.unwrap();
            if status.state == ContainerState::Exited {
                return status;
            }
            let _ = tokio::time::timeout(Duration::from_secs(20), events.recv())
                .await
                .expect("the container exits");
        }
    }

    /// The lines of a log without their prefixes.
    pub fn log_text(&self, status: &ContainerStatus) -> String {
        let text = fs::read_to_string(status.log_path.as_ref().unwrap()).unwrap();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    /// Waits for the log to hold `text`.
    pub async fn logged(&self, id: &ContainerId, text: &str) {
        for _ in 0..500 {
            let status = self.runtime.status(id).await.unwrap();
            if self.log_text(&status).contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{text:?} was not logged");
    }

    pub async fn sh(&self, id: &ContainerId, script: &str) -> ExecOutput {
        self.runtime
            .exec_sync(id, &["/bin/sh".into(), "-c".into(), script.into()], Duration::from_secs(20))
            .await
            .unwrap()
    }

    /// Removes all that is left and checks that nothing stays behind.
    pub async fn clean(&self, before: Leftovers) {
        for sandbox in self.runtime.list().await.unwrap() {
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
        let runtime = self.reopened().await;
        for sandbox in runtime.list().await.unwrap() {
            runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
        // A process that has closed everything is still listed for a moment.
        for _ in 0..100 {
            if Leftovers::count(self) == before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(Leftovers::count(self), before, "something stays behind");
        for controller in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let _ = fs::remove_dir(controller.path().join(&self.cgroup[1..]));
            let _ = fs::remove_dir(controller.path().join("corten/test"));
        }
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.cgroup[1..]));
    }
}

/// What a test could leave on the machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftovers {
    mounts: usize,
    shims: usize,
    cgroups: usize,
}

impl Leftovers {
    pub fn count(node: &Node) -> Self {
        let own = node.directory.path().to_str().unwrap().to_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(&own))
            .count();
        let shims = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                let is_shim = fs::read_to_string(entry.path().join("comm"))
                    .is_ok_and(|comm| comm.starts_with("corten-shim") || comm.starts_with("corten-init"));
                let is_dead =
                    fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
                is_shim && !is_dead
            })
            .count();
        let below = |path: PathBuf| {
            fs::read_dir(path.join(&node.cgroup[1..]))
                .into_iter()
                .flatten()
                .flatten()
                .filter(|e| e.path().is_dir())
                .count()
        };
        let cgroups =
            fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| below(e.path())).sum::<usize>()
                + below("/sys/fs/cgroup".into());
        Self { mounts, shims, cgroups }
    }
}

pub fn rootfs(root: &Path) {
    for directory in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}
