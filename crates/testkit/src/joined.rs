//! A node that joined a cluster, in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Child;

use tempfile::TempDir;

use crate::cluster::{guard, program, write_files};
use crate::kubectl::{Ran, run};
use crate::namespace::{Namespace, SECOND_ADDRESS};
use crate::process::Process;

/// Dropping it ends the program, stops the containers and removes what they
/// left; a guard does so even where the test is killed. The cluster's Node
/// object stays.
pub struct Joined {
    process: Process,
    guard: Child,
    namespace: Namespace,
    directory: TempDir,
    arguments: Vec<String>,
}

impl Joined {
    /// Starts the program and does not wait.
    pub(crate) fn start(
        namespace: Namespace,
        kubeconfig: &Path,
        name: &str,
        pod_cidr: &str,
        files: &[(PathBuf, String)],
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("corten-test-").tempdir().expect("a directory");
        write_files(&directory.path().join("data"), files).expect("the test's directory can be written");
        let guard = guard(&namespace, directory.path()).expect("the guard starts");
        let arguments =
            ["--node-name", name, "--pod-cidr", pod_cidr, "--address", SECOND_ADDRESS, "--kubeconfig"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(kubeconfig.display().to_string());
        let process = Process::new(directory.path().join("log"));
        let mut joined = Self { process, guard, namespace, directory, arguments };
        joined.boot();
        joined
    }

    /// Starts the program again.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn boot(&mut self) {
        let mut command = self.namespace.command(&program().to_string_lossy());
        command
            .args(["join", "--log-format", "json", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.arguments);
        self.process.start(command);
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// `corten ARGUMENTS --data-dir …` beside the running program.
    pub fn corten(&self, arguments: &[&str]) -> Ran {
        let mut command = self.namespace.command(&program().to_string_lossy());
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        run(command, "")
    }

    /// Runs a command in the node's network to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = self.namespace.command(program);
        command.args(arguments);
        run(command, "")
    }

    /// What the program has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
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

impl Drop for Joined {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the node that joined:\n{}", self.log());
        }
        self.stop();
        // The guard does the rest; its pipe is closed by taking it.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
