//! The program's end of a connection to a shim.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::descriptors;
use crate::protocol::{Inbox, Reply, Request, encode};

/// One connection; requests are answered in order.
pub(super) struct Link {
    pub(super) stream: UnixStream,
    inbox: Inbox,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Inbox::default(), descriptors: Vec::new() }
    }

    /// Connects to the shim of the sandbox in `directory`.
    pub(super) async fn connect(directory: &Path) -> io::Result<Self> {
        // Through a descriptor: socket paths are short, state paths not.
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, rustix::fs::Mode::empty())?;
        let stream = UnixStream::connect(format!("/proc/self/fd/{}/shim.sock", opened.as_raw_fd())).await?;
        Ok(Self::new(stream))
    }

    pub(super) async fn call(&mut self, request: &Request) -> io::Result<Reply> {
        self.send(request, &[]).await?;
        self.receive().await
    }

    /// Sends a request with descriptors beside it.
    pub(super) async fn send(&mut self, request: &Request, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(request);
        let mut sent = 0;
        while sent < bytes.len() {
            let beside = if sent == 0 { beside } else { &[] };
            sent += self
                .stream
                .async_io(Interest::WRITABLE, || {
                    descriptors::send(self.stream.as_fd(), &bytes[sent..], beside)
                })
                .await?;
        }
        Ok(())
    }

    /// The next message. An error of kind UnexpectedEof: the shim has closed.
    pub(super) async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.inbox.next().map_err(io::Error::other)? {
                return Ok(reply);
            }
            let mut bytes = [0; 4096];
            let (stream, descriptors) = (&self.stream, &mut self.descriptors);
            let count = stream
                .async_io(Interest::READABLE, || {
                    descriptors::receive(stream.as_fd(), &mut bytes, descriptors)
                })
                .await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.push(&bytes[..count]);
        }
    }

    /// The bare stream and what was read beyond the last message.
    pub(super) fn into_stream(mut self) -> (UnixStream, Vec<u8>) {
        let rest = self.inbox.rest();
        (self.stream, rest)
    }
}
