//! One connection of the program to the shim: bytes in and out without ever
//! waiting.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::reactor::Source;
use super::{Shim, attach_limits};
use crate::attach::{self, Kind};
use crate::protocol::{Inbox, Reply, encode};
use crate::{AttachOptions, ContainerId, descriptors};

/// What a connection is used for now.
pub(super) enum Mode {
    /// Waits for the next request.
    Requests,
    /// A request is under way in a worker.
    Busy,
    /// Gets events; may ask on.
    Subscribed,
    /// Carries stream frames.
    Attached { id: ContainerId, options: AttachOptions },
}

pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) mode: Mode,
    pub(super) inbox: Inbox,
    /// Bytes of stream frames that are not whole yet.
    pub(super) frames: Vec<u8>,
    /// Descriptors that came with the last bytes.
    pub(super) descriptors: Vec<OwnedFd>,
    /// Bytes that the socket did not take yet.
    pub(super) out: Vec<u8>,
    /// Command to kill when the connection closes.
    pub(super) command: Option<i32>,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            mode: Mode::Requests,
            inbox: Inbox::default(),
            frames: Vec::new(),
            descriptors: Vec::new(),
            out: Vec::new(),
            command: None,
        }
    }

    /// Takes in what there is. False: the other side has closed.
    pub(super) fn fill(&mut self) -> bool {
        let mut bytes = [0; 8192];
        loop {
            match descriptors::receive(self.socket.as_fd(), &mut bytes, &mut self.descriptors) {
                Ok(0) => return false,
                Ok(count) if matches!(self.mode, Mode::Attached { .. }) => {
                    self.frames.extend_from_slice(&bytes[..count])
                }
                Ok(count) => self.inbox.push(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Queues a message and sends descriptors beside it.
    pub(super) fn send_with(&mut self, reply: &Reply, descriptors: &[BorrowedFd<'_>]) {
        let bytes = encode(reply);
        if self.out.is_empty() {
            let sent = descriptors::send(self.socket.as_fd(), &bytes, descriptors).unwrap_or(0);
            self.out.extend_from_slice(&bytes[sent..]);
        } else {
            self.out.extend_from_slice(&bytes);
        }
    }
}

impl Shim {
    pub(super) fn reply(&mut self, key: u32, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.out.extend_from_slice(&encode(reply));
        }
        self.flush(key);
    }

    /// Sends what the socket takes and asks to be told when it takes more.
    pub(super) fn flush(&mut self, key: u32) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        while !connection.out.is_empty() {
            match descriptors::send(connection.socket.as_fd(), &connection.out, &[]) {
                Ok(sent) => {
                    connection.out.drain(..sent);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // The close is seen when reading.
                Err(_) => connection.out.clear(),
            }
        }
        if connection.out.is_empty() {
            connection.out = Vec::new();
        }
        self.reactor.want_write(&connection.socket, !connection.out.is_empty());
    }

    pub(super) fn close(&mut self, key: u32) {
        let Some(connection) = self.connections.remove(&key) else { return };
        self.reactor.forget(&connection.socket);
        if let Some(pid) = connection.command {
            // SAFETY: our own child, not reaped yet, for `command` is cleared then.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        if let Mode::Attached { id, options } = connection.mode
            && let Some(container) = self.containers.get_mut(&id)
        {
            container.attached.retain(|other| *other != key);
            if options.stdin && container.start.stdin_once {
                container.close_stdin(&mut self.reactor);
            }
        }
    }

    /// Stream frames that an attached program has sent.
    pub(super) fn attached_input(&mut self, key: u32) {
        loop {
            let Some(connection) = self.connections.get_mut(&key) else { return };
            let Mode::Attached { id, options } = &connection.mode else { return };
            let (id, options) = (id.clone(), *options);
            if self.containers.get_mut(&id).is_some_and(|container| container.pause(key)) {
                return self.reactor.forget(&connection.socket);
            }
            let frame = match attach::take(&mut connection.frames) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(()) => return self.close(key),
            };
            let Some(container) = self.containers.get_mut(&id) else { return };
            match frame {
                (Kind::Stdin, bytes) if options.stdin => container.write_stdin(&mut self.reactor, &bytes),
                (Kind::CloseStdin, _) if options.stdin && container.start.stdin_once => {
                    container.close_stdin(&mut self.reactor)
                }
                (Kind::Resize, size) => container.resize(&size),
                _ => {}
            }
        }
    }

    /// Hands output to all who are attached. Who does not read is cut off, so
    /// that the container never waits for a viewer.
    pub(super) fn attach_output(&mut self, keys: &[u32], kind: Kind, bytes: &[u8]) {
        for key in keys {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let Mode::Attached { options, .. } = &connection.mode else { continue };
            let wanted = match kind {
                Kind::Stdout => options.stdout,
                Kind::Stderr => options.stderr,
                _ => true,
            };
            if !wanted {
                continue;
            }
            attach::push(&mut connection.out, kind, bytes);
            if connection.out.len() > attach_limits::MOST_WAITING {
                self.close(*key);
                continue;
            }
            self.flush(*key);
        }
    }

    pub(super) fn attach_exit(&mut self, key: u32, exit_code: i32) {
        self.attach_output(&[key], Kind::Exit, &exit_code.to_le_bytes());
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.mode = Mode::Busy;
        }
    }

    pub(super) fn input_ready(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.write_stdin(&mut self.reactor, &[]);
        for key in container.resumed() {
            if let Some(connection) = self.connections.get(&key) {
                let _ = self.reactor.watch(&connection.socket, Source::Connection(key));
            }
            self.attached_input(key);
        }
    }
}

/// Watches a container's input for room.
pub(super) fn input_source(id: &ContainerId) -> Source {
    Source::Input(id.clone())
}
