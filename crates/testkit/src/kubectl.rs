//! Unmodified kubectl, in each version that the machine has.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Cluster;

/// The kubectl programs to test with: those that `CORTEN_KUBECTLS` lists
/// (colon-separated), or the one on the PATH.
pub fn every_kubectl() -> Vec<PathBuf> {
    match std::env::var("CORTEN_KUBECTLS") {
        Ok(list) if !list.is_empty() => list.split(':').map(PathBuf::from).collect(),
        _ => vec![PathBuf::from("kubectl")],
    }
}

/// kubectl against one cluster.
#[derive(Clone)]
pub struct Kubectl<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
    environment: Vec<(&'static str, &'static str)>,
}

/// What a command wrote and ended with.
#[derive(Debug)]
pub struct Ran {
    pub command: String,
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl<'a> Kubectl<'a> {
    pub(crate) fn new(cluster: &'a Cluster, program: PathBuf) -> Self {
        Self { cluster, program, environment: Vec::new() }
    }

    /// The same with SPDY/3.1 where it would take WebSockets.
    pub fn over_spdy(&self) -> Self {
        let mut other = self.clone();
        other.environment.extend([
            ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"),
            ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false"),
        ]);
        other
    }

    /// The same with one more variable in its environment.
    pub fn with(&self, name: &'static str, value: &'static str) -> Self {
        let mut other = self.clone();
        other.environment.push((name, value));
        other
    }

    /// The command with its kubeconfig, to be started by the caller. The
    /// arguments are split at spaces; see [`Kubectl::command_of`] for others.
    pub fn command(&self, arguments: &str) -> Command {
        self.command_of(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    pub fn command_of(&self, arguments: &[&str]) -> Command {
        let mut command = self.cluster.command(&self.program.to_string_lossy());
        command.arg("--kubeconfig").arg(self.cluster.kubeconfig()).args(arguments);
        // Discovery is cached under HOME: one for each cluster.
        command.env("HOME", self.cluster.data_dir()).stdin(Stdio::null());
        command.envs(self.environment.iter().copied());
        command
    }

    /// Runs to the end, whatever it ends with.
    pub fn try_run(&self, arguments: &str) -> Ran {
        run(self.command(arguments), "")
    }

    pub fn try_run_of(&self, arguments: &[&str]) -> Ran {
        run(self.command_of(arguments), "")
    }

    /// Runs with `input` on standard input.
    pub fn try_run_with(&self, arguments: &str, input: &str) -> Ran {
        run(self.command(arguments), input)
    }

    /// Runs and gives standard output.
    ///
    /// # Panics
    /// Where it fails.
    pub fn run(&self, arguments: &str) -> String {
        self.try_run(arguments).ok()
    }

    pub fn run_of(&self, arguments: &[&str]) -> String {
        self.try_run_of(arguments).ok()
    }

    pub fn run_with(&self, arguments: &str, input: &str) -> String {
        self.try_run_with(arguments, input).ok()
    }

    /// One field of an object, by a JSONPath without braces: `.status.phase`.
    pub fn field(&self, object: &str, path: &str) -> String {
        self.try_run(&format!("get {object} -o jsonpath={{{path}}}")).stdout
    }
}

impl Ran {
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output of a command that must succeed.
    ///
    /// # Panics
    /// Where it did not.
    pub fn ok(self) -> String {
        assert!(
            self.succeeded(),
            "{} ended with {:?}:\n{}{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// Standard error of a command that must fail.
    ///
    /// # Panics
    /// Where it did not.
    pub fn refused(self) -> String {
        assert!(!self.succeeded(), "{} succeeded:\n{}", self.command, self.stdout);
        self.stderr
    }
}

pub(crate) fn run(mut command: Command, input: &str) -> Ran {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child = command.spawn().expect("nsenter (package util-linux) starts");
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).expect("the command reads its input");
    }
    let output = child.wait_with_output().expect("a started command can be waited for");
    Ran {
        command: words.join(" "),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}
