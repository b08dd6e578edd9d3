//! A container as its shim holds it: process, streams, log, viewers.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::log::Log;
use super::reactor::{self, Reactor, Source};
use super::{Shim, connection};
use crate::ContainerId;
use crate::attach::Kind;
use crate::cgroup::{Cgroup, OomWatch};
use crate::protocol::{Exit, Start};

/// Bytes for a container's input that may wait before its writer has to.
const MOST_INPUT_WAITING: usize = 256 << 10;

/// An output of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    /// Also the terminal.
    Stdout,
    Stderr,
}

pub(super) struct Container {
    pub(super) id: ContainerId,
    pub(super) start: Start,
    /// 0 until it runs.
    pub(super) pid: i32,
    pub(super) started_at: i64,
    pub(super) exit: Option<Exit>,
    pub(super) log: Option<Log>,
    /// Read ends; with a terminal the first is its master.
    outputs: [Option<OwnedFd>; 2],
    /// Write end; with a terminal a second handle of its master.
    stdin: Option<OwnedFd>,
    stdin_waiting: Vec<u8>,
    stdin_watched: bool,
    close_stdin_when_written: bool,
    /// Connections that wait until the input takes more.
    paused: Vec<u32>,
    /// Connections that see the output.
    pub(super) attached: Vec<u32>,
    oom_watch: Option<OwnedFd>,
    pub(super) oom_kills: u64,
    pub(super) oom_seen: bool,
}

/// The container's ends of its streams.
pub(super) struct ChildStreams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Container {
    /// Opens the log and the pipes; `owner` (user and group) gets the pipes, so
    /// that `/dev/stdout` can be opened again by a process that is not root.
    pub(super) fn prepare(start: Start, owner: (u32, u32)) -> io::Result<(Self, Option<ChildStreams>)> {
        let log = start.log.as_ref().map(|path| Log::open(path)).transpose()?;
        let mut container = Self {
            id: start.id.clone(),
            pid: 0,
            started_at: 0,
            exit: None,
            log,
            outputs: [None, None],
            stdin: None,
            stdin_waiting: Vec::new(),
            stdin_watched: false,
            close_stdin_when_written: false,
            paused: Vec::new(),
            attached: Vec::new(),
            oom_watch: None,
            oom_kills: 0,
            oom_seen: false,
            start,
        };
        if container.start.tty {
            return Ok((container, None));
        }
        let output = |container: &mut Self, at: usize| -> io::Result<OwnedFd> {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            container.outputs[at] = Some(read);
            own(&write, owner)?;
            Ok(write)
        };
        let stdout = output(&mut container, 0)?;
        let stderr = output(&mut container, 1)?;
        let stdin = if container.start.stdin {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&write, true)?;
            own(&read, owner)?;
            container.stdin = Some(write);
            read
        } else {
            File::open("/dev/null")?.into()
        };
        Ok((container, Some(ChildStreams { stdin, stdout, stderr })))
    }

    /// Takes the terminal's master that the container's first process made.
    pub(super) fn adopt_console(&mut self, master: OwnedFd) {
        let _ = rustix::io::ioctl_fionbio(&master, true);
        if self.start.stdin {
            self.stdin = master.try_clone().ok();
        }
        self.outputs[0] = Some(master);
    }

    pub(super) fn output(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.outputs[stream as usize].as_ref().map(AsFd::as_fd)
    }

    /// Has the reactor tell of output and of out-of-memory kills.
    pub(super) fn watch(&mut self, reactor: &mut Reactor) {
        for (stream, output) in [Stream::Stdout, Stream::Stderr].into_iter().zip(&self.outputs) {
            if let Some(output) = output {
                let _ = reactor.watch(output, Source::Output(self.id.clone(), stream));
            }
        }
        let group = Cgroup::new(&self.start.cgroup).ok();
        self.oom_watch =
            group.and_then(|group| group.oom_watch()).and_then(|watch| watch_memory(&watch).ok());
        if let Some(watch) = &self.oom_watch {
            let _ = reactor.watch(watch, Source::OutOfMemory(self.id.clone()));
        }
    }

    pub(super) fn drain_oom_watch(&self) {
        if let Some(watch) = &self.oom_watch {
            reactor::drain(watch);
        }
    }

    pub(super) fn close_output(&mut self, reactor: &mut Reactor, stream: Stream) {
        if let Some(output) = self.outputs[stream as usize].take() {
            reactor.forget(&output);
        }
    }

    /// Ends the streams and the log's last line.
    pub(super) fn finish_output(&mut self, reactor: &mut Reactor) {
        self.close_output(reactor, Stream::Stdout);
        self.close_output(reactor, Stream::Stderr);
        self.drop_stdin(reactor);
        if let Some(watch) = self.oom_watch.take() {
            reactor.forget(&watch);
        }
        if let Some(mut log) = self.log.take() {
            log.finish(super::now());
        }
    }

    /// Gives bytes to the container's input, now or when it takes them.
    pub(super) fn write_stdin(&mut self, reactor: &mut Reactor, bytes: &[u8]) {
        let Some(stdin) = &self.stdin else { return };
        self.stdin_waiting.extend_from_slice(bytes);
        while !self.stdin_waiting.is_empty() {
            match rustix::io::write(stdin, &self.stdin_waiting) {
                Ok(count) => {
                    self.stdin_waiting.drain(..count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => return self.drop_stdin(reactor),
            }
        }
        if self.stdin_waiting.is_empty() {
            if self.stdin_watched {
                reactor.forget(stdin);
                self.stdin_watched = false;
            }
            if self.close_stdin_when_written {
                self.drop_stdin(reactor);
            }
        } else if !self.stdin_watched {
            self.stdin_watched = reactor.watch_writable(stdin, connection::input_source(&self.id)).is_ok();
        }
    }

    /// Should the writer of the input wait? Then it is remembered.
    pub(super) fn pause(&mut self, key: u32) -> bool {
        let full = self.stdin.is_some() && self.stdin_waiting.len() > MOST_INPUT_WAITING;
        if full {
            self.paused.push(key);
        }
        full
    }

    /// The writers that may go on.
    pub(super) fn resumed(&mut self) -> Vec<u32> {
        if self.stdin_waiting.len() > MOST_INPUT_WAITING {
            Vec::new()
        } else {
            std::mem::take(&mut self.paused)
        }
    }

    /// Closes the input after what waits for it was written.
    pub(super) fn close_stdin(&mut self, reactor: &mut Reactor) {
        self.close_stdin_when_written = true;
        if self.stdin_waiting.is_empty() {
            self.drop_stdin(reactor);
        }
    }

    fn drop_stdin(&mut self, reactor: &mut Reactor) {
        if let Some(stdin) = self.stdin.take() {
            if self.stdin_watched {
                reactor.forget(&stdin);
            }
            self.stdin_watched = false;
            self.stdin_waiting = Vec::new();
        }
    }

    /// A new size for the terminal, as the frame carries it.
    pub(super) fn resize(&self, size: &[u8]) {
        let (Some(master), &[c0, c1, r0, r1]) = (&self.outputs[0], size) else { return };
        if self.start.tty {
            let size = rustix::termios::Winsize {
                ws_col: u16::from_le_bytes([c0, c1]),
                ws_row: u16::from_le_bytes([r0, r1]),
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }
}

/// Gives a stream to the container's user; only roots can need it not.
pub(super) fn own(fd: impl AsFd, (uid, gid): (u32, u32)) -> io::Result<()> {
    if uid == 0 && gid == 0 {
        return Ok(());
    }
    rustix::fs::fchown(fd, Some(rustix::fs::Uid::from_raw(uid)), Some(rustix::fs::Gid::from_raw(gid)))?;
    Ok(())
}

/// A descriptor that becomes readable when the kernel runs out of the group's
/// memory.
fn watch_memory(watch: &OomWatch) -> io::Result<OwnedFd> {
    match watch {
        OomWatch::Inotify(file) => {
            use rustix::fs::inotify;
            let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, file, inotify::WatchFlags::MODIFY)?;
            Ok(fd)
        }
        OomWatch::Eventfd { file, control } => {
            // SAFETY: plain numbers.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: just made for us.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let watched = File::open(file)?;
            std::fs::write(control, format!("{} {}", fd.as_raw_fd(), watched.as_raw_fd()))?;
            Ok(fd)
        }
    }
}

impl Shim {
    pub(super) fn output_ready(&mut self, id: &ContainerId, stream: Stream) {
        // One buffer at a time, so that a loud container does not keep others waiting.
        self.read_output(id, stream);
    }

    /// Reads once from an output into log and viewers. False: nothing is there.
    pub(super) fn read_output(&mut self, id: &ContainerId, stream: Stream) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        let Some(output) = container.output(stream) else { return false };
        let mut bytes = [0; 16 << 10];
        let count = match rustix::io::read(output, &mut bytes) {
            Ok(0) => 0,
            Ok(count) => count,
            Err(rustix::io::Errno::AGAIN) => return false,
            Err(rustix::io::Errno::INTR) => return true,
            // A terminal whose last user is gone says EIO.
            Err(_) => 0,
        };
        if count == 0 {
            container.close_output(&mut self.reactor, stream);
            return false;
        }
        let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
        if let Some(log) = &mut container.log {
            log.write(stream, &bytes[..count], super::now());
        }
        if !container.attached.is_empty() {
            let keys = container.attached.clone();
            self.attach_output(&keys, kind, &bytes[..count]);
        }
        true
    }
}
