//! A cluster of one node, or an API server alone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::helm::Helm;
use crate::joined::Joined;
use crate::kubectl::{Kubectl, Ran, every_kubectl, run};
use crate::namespace::{NODE_ADDRESS, Namespace, Network};
use crate::part::Part;
use crate::process::Process;
use crate::wait::eventually;

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct Builder {
    role: &'static str,
    address: &'static str,
    arguments: Vec<String>,
    images: Vec<PathBuf>,
    disk: Option<String>,
    files: Vec<(PathBuf, String)>,
}

/// A running cluster. Dropping it ends the program, stops the containers and
/// removes what they left; a guard does so even where the test is killed.
pub struct Cluster {
    process: Process,
    guard: Child,
    builder: Builder,
    namespace: Namespace,
    directory: TempDir,
}

impl Builder {
    /// More arguments for the program.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// An image archive to be imported before the start is over.
    pub fn image(mut self, archive: impl Into<PathBuf>) -> Self {
        self.images.push(archive.into());
        self
    }

    /// The data lies on a disk of its own, so large (`24m`).
    pub fn disk(mut self, size: &str) -> Self {
        self.disk = Some(size.to_owned());
        self
    }

    /// A file in the data directory that is there before the start.
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// Starts the cluster and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready; the program's log is shown.
    pub fn start(self) -> Cluster {
        self.try_start().unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"))
    }

    /// Starts the program and does not wait.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn spawn(self) -> Cluster {
        let mut cluster =
            self.prepare().unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"));
        cluster.spawn();
        cluster
    }

    fn prepare(self) -> Result<Cluster> {
        let namespace = Namespace::create()?;
        let directory = tempfile::Builder::new().prefix("corten-test-").tempdir()?;
        let guard = guard(&namespace, directory.path())?;
        if let Some(size) = &self.disk {
            let data = directory.path().join("data");
            std::fs::create_dir(&data)?;
            let options = format!("size={size}");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&data);
            if !mount.status().context("running mount")?.success() {
                bail!("a disk of {size} could not be mounted");
            }
        }
        write_files(&directory.path().join("data"), &self.files)?;
        let process = Process::new(directory.path().join("log"));
        Ok(Cluster { process, guard, builder: self, namespace, directory })
    }

    fn try_start(self) -> Result<Cluster> {
        let images = self.images.clone();
        let mut cluster = self.prepare()?;
        cluster.boot();
        for image in &images {
            cluster.corten(&["image", "import", &image.to_string_lossy()]).ok();
        }
        Ok(cluster)
    }
}

/// The program under test: `CORTEN`, or the one built beside this test.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("CORTEN") {
        return program.into();
    }
    let test = std::env::current_exe().expect("a process knows its program");
    let directory = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    directory.join("corten")
}

/// Files in a data directory.
pub(crate) fn write_files(data: &Path, files: &[(PathBuf, String)]) -> Result<()> {
    for (path, text) in files {
        let path = data.join(path);
        std::fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Waits for this process to end, however it does, and then cleans up.
pub(crate) fn guard(namespace: &Namespace, directory: &Path) -> Result<Child> {
    let script = r#"
        read -r _ # ends when the test's end of the pipe is closed
        exec >/dev/null 2>&1
        pids=$(ip netns pids "$2")
        nsenter --net="/run/netns/$2" -- "$1" down --data-dir "$3/data"
        [ -n "$pids" ] && kill -9 $pids
        ip netns delete "$2"
        umount -l "$3/data"
        rm -rf --one-file-system "$3"
    "#;
    Command::new("setsid")
        .args(["sh", "-c", script, "guard"])
        .arg(program())
        .arg(namespace.name())
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the guard that cleans up")
}

impl Cluster {
    /// A node with its control plane, ready.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder {
            role: "up",
            address: NODE_ADDRESS,
            arguments: Vec::new(),
            images: Vec::new(),
            disk: None,
            files: Vec::new(),
        }
    }

    /// An API server alone: no controller, no node.
    pub fn api_server() -> Self {
        Self::api_server_builder().start()
    }

    pub fn api_server_builder() -> Builder {
        Builder { role: "apiserver", ..Self::builder() }
    }

    /// An API server alone that the machine's own loopback reaches, for load
    /// from this process.
    pub fn api_server_on_loopback() -> Self {
        Builder { role: "apiserver", address: "127.0.0.1", ..Self::builder() }.start()
    }

    /// A part of the control plane (`scheduler …`) beside the API server, on this
    /// cluster's kubeconfig unless the arguments name another. `name` is its log's.
    pub fn part(&self, name: &str, arguments: &[&str]) -> Part {
        let mut command = self.command(&program().to_string_lossy());
        command.args(arguments).args(["--log-format", "json"]);
        if !arguments.contains(&"--kubeconfig") {
            command.arg("--kubeconfig").arg(self.kubeconfig());
        }
        Part::start(command, self.directory.path().join(name))
    }

    /// One node more, ready, with this part of the cluster's pod addresses and
    /// these files in its data directory.
    ///
    /// # Panics
    /// Where it does not become ready; its log is shown.
    pub fn join(&self, name: &str, pod_cidr: &str, files: &[(PathBuf, String)]) -> Joined {
        let joined = self.joining(name, pod_cidr, files);
        let path = r#".status.conditions[?(@.type=="Ready")].status"#;
        eventually("the node that joined becomes Ready", Duration::from_secs(60), || {
            let ran = self.kubectl().try_run(&format!("get node/{name} -o jsonpath={{{path}}}"));
            if ran.stdout == "True" {
                Ok(())
            } else {
                Err(format!("{} {}\n{}", ran.stdout, ran.stderr, joined.log()))
            }
        });
        joined
    }

    /// As [`Cluster::join`], without waiting.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn joining(&self, name: &str, pod_cidr: &str, files: &[(PathBuf, String)]) -> Joined {
        let namespace = self.namespace.beside().expect("the cluster's link has a free end");
        Joined::start(namespace, &self.kubeconfig(), name, pod_cidr, files)
    }

    /// Where the API is served.
    pub fn address(&self) -> String {
        format!("{}:6443", self.builder.address)
    }

    pub fn node_address(&self) -> &'static str {
        NODE_ADDRESS
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("kubeconfig")
    }

    /// The cluster's network, to be entered by a thread of its own.
    pub fn network(&self) -> Network {
        self.namespace.network()
    }

    /// What the program has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process id of the running program.
    ///
    /// # Panics
    /// Where it is not running.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A command in the cluster's network.
    pub fn command(&self, program: &str) -> Command {
        if self.builder.address == NODE_ADDRESS {
            self.namespace.command(program)
        } else {
            Command::new(program)
        }
    }

    /// Runs a command in the cluster's network to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(program);
        command.args(arguments);
        run(command, "")
    }

    /// `corten ARGUMENTS --data-dir …` beside the running program.
    pub fn corten(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(&program().to_string_lossy());
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        run(command, "")
    }

    /// The newest kubectl.
    pub fn kubectl(&self) -> Kubectl<'_> {
        let program = every_kubectl().remove(0);
        Kubectl::new(self, program)
    }

    /// Every kubectl that is to be tested with.
    pub fn kubectls(&self) -> Vec<Kubectl<'_>> {
        every_kubectl().into_iter().map(|program| Kubectl::new(self, program)).collect()
    }

    pub fn helm(&self) -> Helm<'_> {
        Helm::new(self)
    }

    /// Starts the program (again) and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn boot(&mut self) {
        self.spawn();
        self.ready();
    }

    /// Stops the program and serves the API of its data alone.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn serve_api_alone(&mut self) {
        self.stop();
        self.builder.role = "apiserver";
        self.boot();
    }

    /// Starts the program and does not wait.
    pub fn spawn(&mut self) {
        let mut command = self.command(&program().to_string_lossy());
        command
            .args([self.builder.role, "--bind", &self.address(), "--log-format", "json", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.builder.arguments);
        self.process.start(command);
    }

    /// Waits until the API is ready and, with a node, the node too.
    ///
    /// # Panics
    /// Where that takes a minute.
    pub fn ready(&mut self) {
        self.wait("the API server becomes ready", |cluster| {
            let ran = cluster.kubectl().try_run("get --raw /readyz");
            if ran.stdout == "ok" { Ok(()) } else { bail!("{}", ran.stderr) }
        });
        if self.builder.role == "up" {
            self.wait("the node becomes Ready", |cluster| {
                let path = r#".items[*].status.conditions[?(@.type=="Ready")].status"#;
                let ready = cluster.kubectl().field("nodes", path);
                if ready == "True" { Ok(()) } else { bail!("Ready is {ready:?}") }
            });
        }
    }

    fn wait(&mut self, what: &str, ask: impl Fn(&Self) -> Result<()>) {
        eventually(what, Duration::from_secs(60), || {
            if let Some(status) = self.process.ended() {
                panic!("the program ended with {status}:\n{}", self.log());
            }
            ask(self).map_err(|error| format!("{error:#}\n{}", self.log()))
        });
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and waits.
    pub fn stop(&mut self) {
        self.process.stop();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program's log:\n{}", self.log());
        }
        self.stop();
        // The guard does the rest; its pipe is closed by taking it.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
