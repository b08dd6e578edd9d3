//! Connected standard streams of an exec or attach.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::Result;

/// Resolves to the command's exit code (128 + signal when killed by one). For
/// attach: to the container's, or an error when the connection ended first.
pub type ExitFuture = Pin<Box<dyn Future<Output = Result<i32>> + Send>>;

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WindowSize {
    pub columns: u16,
    pub rows: u16,
}

/// The caller's ends. Dropping everything hangs up: a command with a terminal
/// gets SIGHUP, others see closed pipes.
pub struct Streams {
    /// Present when stdin was asked for. `shutdown()` closes it (half close);
    /// with a terminal that is the end of input only when the caller sends ^D.
    pub stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Present when stdout was asked for; end of file when the command closed it.
    pub stdout: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// Present when stderr was asked for and there is no terminal.
    pub stderr: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// New sizes of the terminal; ignored without one.
    pub resize: tokio::sync::mpsc::Sender<WindowSize>,
    /// The end of the command. Keep it while streams are read: dropping it hangs
    /// up an attach. Read the streams to their end as well.
    pub exit: ExitFuture,
}
