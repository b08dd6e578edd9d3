//! The program under test as a process, with its log.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Ends with whoever holds it by [`Process::stop`], not by being dropped.
pub(crate) struct Process {
    child: Option<Child>,
    log: PathBuf,
}

impl Process {
    /// One that does not run yet, and will write to this file.
    pub fn new(log: PathBuf) -> Self {
        Self { child: None, log }
    }

    /// Starts it and does not wait.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(&mut self, mut command: Command) {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.expect("the test's directory can be written");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// The process id of the running program.
    ///
    /// # Panics
    /// Where it is not running.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the program is running").id()
    }

    /// How it ended by itself, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.end("KILL");
    }

    /// SIGTERM, and waits.
    pub fn stop(&mut self) {
        self.end("TERM");
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}
