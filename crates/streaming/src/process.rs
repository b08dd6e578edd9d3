//! What is at this end of exec and attach: a running process as streams.

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub type Input = Box<dyn AsyncWrite + Send + Unpin>;
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A running process. What was not asked for is None.
pub struct Process {
    pub stdin: Option<Input>,
    pub stdout: Option<Output>,
    pub stderr: Option<Output>,
    /// Takes the terminal's size whenever the client's changes.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Becomes ready when the process has ended (or, for attach, when there
    /// is no more to be seen).
    pub exit: BoxFuture<'static, Exit>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// It could not be run or watched; the sentence goes to the client.
    Failed(String),
}

/// Characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

/// What a client wants of a process (PodExecOptions, PodAttachOptions).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    /// Never together with `tty`: a terminal has one output.
    pub stderr: bool,
    pub tty: bool,
}
