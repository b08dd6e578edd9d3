//! Unmodified Helm.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Cluster;
use crate::kubectl::{Ran, every_kubectl, run};

/// Helm against one cluster.
pub struct Helm<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
}

impl<'a> Helm<'a> {
    /// The program that lies beside the newest kubectl, or on the PATH.
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let beside = every_kubectl().remove(0).with_file_name("helm");
        Self { cluster, program: if beside.exists() { beside } else { "helm".into() } }
    }

    /// Runs to the end, whatever it ends with. The arguments are split at spaces.
    pub fn try_run(&self, arguments: &str) -> Ran {
        let mut command: Command = self.cluster.command(&self.program.to_string_lossy());
        command.args(["--kubeconfig".into(), self.cluster.kubeconfig()]);
        command.args(arguments.split_whitespace()).stdin(Stdio::null());
        // Its cache and configuration are below HOME: one for each cluster.
        command.env("HOME", self.cluster.data_dir());
        run(command, "")
    }

    /// Runs and gives standard output.
    ///
    /// # Panics
    /// Where it fails.
    pub fn run(&self, arguments: &str) -> String {
        self.try_run(arguments).ok()
    }
}
