//! Short-lived forks of the shim that go into containers: one builds a
//! container with libcontainer and starts it, one enters a running container to
//! run a command. They report over a socket and end; what they started becomes
//! the shim's child.
//!
//! libcontainer changes the working directory and waits, so it never runs in
//! the shim itself. Commands are entered without it, for it would run them
//! without the container's seccomp filter.

mod create;
mod enter;

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::Shim;
use super::connection::Mode;
use super::container::{ChildStreams, Container, own};
use super::reactor::Source;
use crate::descriptors;
use crate::protocol::{Exec, Inbox, Reply, Start, encode};
use crate::state::ContainerDir;

/// What a worker tells at its end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// The process it started; 0 when it got not that far.
    pub(super) pid: i32,
    pub(super) error: Option<String>,
}

/// What a worker was forked for.
pub(super) enum Purpose {
    Start { connection: u32, container: Box<Container> },
    Exec { connection: u32, kill_on_close: bool },
}

pub(super) struct Worker {
    pub(super) pid: i32,
    pub(super) socket: OwnedFd,
    pub(super) purpose: Purpose,
    /// The terminal's master, where one was made.
    pub(super) descriptors: Vec<OwnedFd>,
    inbox: Inbox,
}

impl Worker {
    /// The report, once it is there. A worker that ends without one was killed.
    pub(super) fn report(&mut self) -> Option<Report> {
        let mut bytes = [0; 4096];
        match descriptors::receive(self.socket.as_fd(), &mut bytes, &mut self.descriptors) {
            Ok(0) => Some(Report { pid: 0, error: Some("the worker that started it was killed".into()) }),
            Ok(count) => {
                self.inbox.push(&bytes[..count]);
                self.inbox.next().unwrap_or_else(|error| Some(Report { pid: 0, error: Some(error) }))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Err(error) => Some(Report { pid: 0, error: Some(error.to_string()) }),
        }
    }
}

/// The parts of a bundle's `config.json` that starting a process needs.
#[derive(Deserialize)]
struct Bundle {
    root: Root,
    process: Process,
    linux: Linux,
}

#[derive(Deserialize)]
struct Root {
    path: std::path::PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    user: BundleUser,
    #[serde(default)]
    env: Vec<String>,
    cwd: String,
    #[serde(default)]
    no_new_privileges: bool,
    capabilities: Capabilities,
}

#[derive(Deserialize)]
struct Capabilities {
    #[serde(default)]
    bounding: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundleUser {
    uid: u32,
    gid: u32,
    #[serde(default)]
    additional_gids: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    cgroups_path: String,
    seccomp: Option<oci_spec::runtime::LinuxSeccomp>,
}

impl Bundle {
    fn load(directory: &ContainerDir) -> Result<Self, String> {
        let path = directory.specification();
        let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Only whom the streams belong to; read in the shim, which should not grow.
fn stream_owner(directory: &ContainerDir) -> (u32, u32) {
    #[derive(Deserialize)]
    struct Owner {
        process: OwnerProcess,
    }
    #[derive(Deserialize)]
    struct OwnerProcess {
        user: BundleUser,
    }
    fs::read(directory.specification())
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok())
        .map_or((0, 0), |owner| (owner.process.user.uid, owner.process.user.gid))
}

impl Shim {
    /// Forks a worker that starts a container.
    pub(super) fn start(&mut self, key: u32, start: Start) -> Result<(), String> {
        let id = start.id.clone();
        if self.containers.contains_key(&id)
            || self
                .workers
                .values()
                .any(|w| matches!(&w.purpose, Purpose::Start { container, .. } if container.id == id))
        {
            return Err(format!("container {id} was started before"));
        }
        let directory = self.directory.container(&id);
        let (container, streams) =
            Container::prepare(start, stream_owner(&directory)).map_err(|e| e.to_string())?;
        let oci = self.directory.oci();
        let (cgroup_adj, tty) = (container.start.oom_score_adj, container.start.tty);
        let keep = streams
            .as_ref()
            .map(|s: &ChildStreams| [s.stdin.as_raw_fd(), s.stdout.as_raw_fd(), s.stderr.as_raw_fd()]);
        let mut streams = streams;
        self.fork(
            Purpose::Start { connection: key, container: Box::new(container) },
            keep.as_ref().map_or(&[], |k| k.as_slice()),
            move || create::create(&directory, &oci, cgroup_adj, tty, streams.take()),
        )
    }

    /// Forks a worker that runs a command in a container.
    pub(super) fn exec(&mut self, key: u32, exec: Exec, streams: Vec<OwnedFd>) -> Result<(), Reply> {
        let Some(container) = self.containers.get(&exec.id) else { return Err(Reply::NotFound) };
        if container.exit.is_some() || container.pid == 0 {
            return Err(Reply::Failed { message: format!("container {} is not running", exec.id) });
        }
        if !exec.tty && streams.len() != 3 {
            return Err(Reply::Failed {
                message: "an exec without a terminal needs three descriptors".into(),
            });
        }
        let (pid, directory) = (container.pid, self.directory.container(&exec.id));
        let owner = stream_owner(&directory);
        for stream in &streams {
            let _ = own(stream, owner);
        }
        let raw: Vec<i32> = streams.iter().map(AsRawFd::as_raw_fd).collect();
        let (command, tty) = (exec.command.clone(), exec.tty);
        let keep = raw.clone();
        self.fork(Purpose::Exec { connection: key, kill_on_close: exec.kill_on_close }, &keep, move || {
            enter::enter(&directory, pid, &command, tty, &raw)
        })
        .map_err(|message| Reply::Failed { message })
    }

    /// Forks; the child keeps only `keep` and its end of the report's socket.
    fn fork(
        &mut self,
        purpose: Purpose,
        keep: &[i32],
        work: impl FnOnce() -> (Report, Option<OwnedFd>),
    ) -> Result<(), String> {
        let (ours, theirs) =
            std::os::unix::net::UnixStream::pair().map_err(|e| format!("socket pair for a worker: {e}"))?;
        ours.set_nonblocking(true).map_err(|e| e.to_string())?;
        // SAFETY: this process has one thread, so the child's memory is whole;
        // the child ends in `_exit` and drops nothing that it inherited.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(format!("fork a worker: {}", io::Error::last_os_error()));
        }
        if pid == 0 {
            let mut keep = keep.to_vec();
            keep.push(theirs.as_raw_fd());
            descriptors::close_others(&keep);
            unblock_signals();
            let (report, descriptor) = work();
            let beside: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
            let _ = descriptors::send(theirs.as_fd(), &encode(&report), &beside);
            // SAFETY: ends this process only.
            unsafe { libc::_exit(0) };
        }
        let key = self.key();
        let socket = OwnedFd::from(ours);
        self.reactor.watch(&socket, Source::Worker(key)).map_err(|e| e.to_string())?;
        let connection = match &purpose {
            Purpose::Start { connection, .. } | Purpose::Exec { connection, .. } => *connection,
        };
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.mode = Mode::Busy;
        }
        self.workers
            .insert(key, Worker { pid, socket, purpose, descriptors: Vec::new(), inbox: Inbox::default() });
        Ok(())
    }
}

/// What the shim blocks must not be blocked in containers.
fn unblock_signals() {
    // SAFETY: the set lives through the calls.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Waits until the process at the other end has executed its command (the pipe
/// closes) or has said why it could not.
fn outcome(status: &mut fs::File) -> Option<String> {
    let mut message = String::new();
    let _ = status.read_to_string(&mut message);
    (!message.is_empty()).then_some(message)
}
