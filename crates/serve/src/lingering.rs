//! A connection's socket that is had back when the connection is over, to be
//! closed without cutting off what was answered last.
//!
//! The kernel resets a connection that is closed while something unread lies in
//! it, and the client loses the answer: to a request whose body nobody wanted
//! to read, say.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::timeout;

/// How long a client may take to see the answer and stop sending.
const LINGER: Duration = Duration::from_millis(500);

/// A socket that goes back to [`Left`] when it is dropped.
pub(crate) struct Lingering {
    /// None only while it is dropped.
    stream: Option<TcpStream>,
    back: Option<Sender<TcpStream>>,
}

/// What is left of a connection.
pub(crate) struct Left(Receiver<TcpStream>);

impl Lingering {
    pub fn new(stream: TcpStream) -> (Self, Left) {
        let (back, left) = channel();
        (Self { stream: Some(stream), back: Some(back) }, Left(left))
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("it is there until it is dropped"))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for a connection that became another's.
            let _ = back.send(stream);
        }
    }
}

impl Left {
    /// Closes the socket: says so, and reads and drops what still comes, until
    /// the client closes too or takes too long. Does nothing where the
    /// connection went on as another's.
    pub async fn close(mut self) {
        let Ok(mut stream) = self.0.try_recv() else { return };
        let drain = async {
            let _ = stream.shutdown().await;
            let mut unread = vec![0; 16 << 10];
            while matches!(stream.read(&mut unread).await, Ok(1..)) {}
        };
        let _ = timeout(LINGER, drain).await;
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.stream().poll_read(context, into)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.stream().poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
