//! A part of a cluster's control plane as a process of its own, beside the API
//! server.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use crate::process::Process;

/// Dropping it ends the program; the cluster's guard does so even where the test
/// is killed.
pub struct Part {
    process: Process,
}

impl Part {
    /// Starts the program and does not wait.
    pub(crate) fn start(command: Command, log: PathBuf) -> Self {
        let mut process = Process::new(log);
        process.start(command);
        Self { process }
    }

    /// What the program has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How it ended by itself, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
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

impl Drop for Part {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of a part:\n{}", self.log());
        }
        self.stop();
    }
}
