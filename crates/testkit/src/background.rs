//! A command that runs beside a test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running command; dropping it ends it.
pub struct Background {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Background {
    /// # Panics
    /// Where it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command starts");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Self { child, stdout }
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// Where it says no more.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("standard output is text");
        assert!(!line.is_empty(), "the command has ended: {:?}", self.child.try_wait());
        line.trim_end().to_owned()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
