//! The shim: one small process for each pod, forked from the spawner, with one
//! thread and an event loop. It is the parent of the pod's containers: starts
//! them in forked workers, writes their logs, holds their consoles, keeps their
//! exit codes on disk, and serves the program over a socket. It outlives the
//! program.
//!
//! It holds no configuration and decides nothing; what a container is made of
//! lies in its bundle. Memory is spent only while something happens.

mod attach_limits {
    //! How much may wait for a viewer who does not read.
    /// Bytes.
    pub(super) const MOST_WAITING: usize = 4 << 20;
}
mod connection;
mod container;
mod log;
pub(crate) mod namespaces;
mod payload;
mod reactor;
mod worker;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use edge::Clock;

use crate::cgroup::Cgroup;
use crate::protocol::{ContainerFact, Exit, Reply, Request, ShimEvent, VERSION};
use crate::state::{self, RunningRecord, SandboxDir};
use crate::{ContainerId, descriptors};
use connection::{Connection, Mode};
use container::Container;
use reactor::{Reactor, Source};
use worker::{Purpose, Worker};

/// Everything that a shim has.
struct Shim {
    directory: SandboxDir,
    reactor: Reactor,
    listener: Option<UnixListener>,
    signals: OwnedFd,
    connections: BTreeMap<u32, Connection>,
    next_key: u32,
    containers: BTreeMap<ContainerId, Container>,
    workers: BTreeMap<u32, Worker>,
    /// Commands run by exec: process → connection that wants the exit code.
    commands: BTreeMap<i32, u32>,
    /// Exits of processes that a worker has yet to tell of.
    unclaimed: BTreeMap<i32, i32>,
    /// PID 1 of a shared process namespace.
    init: Option<i32>,
    /// Who waits for everything to be stopped, and whether the shim then ends.
    stopping: Vec<(u32, bool)>,
}

/// A shim's whole life, in a process just forked from the spawner.
pub(crate) fn run(directory: PathBuf, control: OwnedFd) -> ! {
    descriptors::close_others(&[control.as_raw_fd()]);
    // It outlives the program's terminal and whoever reads its output.
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for standard in 0..3 {
            // SAFETY: numbers of descriptors that this process has.
            unsafe { libc::dup2(null.as_raw_fd(), standard) };
        }
    }
    // SAFETY: plain system calls on this process.
    unsafe {
        libc::setsid();
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::umask(0o022);
    }
    let _ = rustix::thread::set_name(c"corten-shim");
    // The last to be killed for want of memory, where that is allowed.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    match Shim::new(SandboxDir::at(directory.clone()), control) {
        Ok(mut shim) => shim.serve(),
        Err(error) => {
            let _ =
                std::fs::write(directory.join("shim.log"), format!("the shim could not start: {error}\n"));
            std::process::exit(1);
        }
    }
}

/// The wall clock in nanoseconds since 1970.
fn now() -> i64 {
    i64::try_from(edge::SystemClock.now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl Shim {
    fn new(directory: SandboxDir, control: OwnedFd) -> std::io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let signals = reactor::child_signals()?;
        reactor.watch(&signals, Source::Signals)?;
        // Bound relative to the directory: socket paths are short, state paths not.
        std::env::set_current_dir(directory.path())?;
        let socket = directory.socket();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind("shim.sock")?;
        listener.set_nonblocking(true)?;
        std::env::set_current_dir("/")?;
        reactor.watch(&listener, Source::Listener)?;
        let mut shim = Self {
            directory,
            reactor,
            listener: Some(listener),
            signals,
            connections: BTreeMap::new(),
            next_key: 1,
            containers: BTreeMap::new(),
            workers: BTreeMap::new(),
            commands: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            init: None,
            stopping: Vec::new(),
        };
        shim.adopt_connection(control)?;
        Ok(shim)
    }

    fn serve(&mut self) -> ! {
        loop {
            for (source, writable) in self.reactor.wait() {
                match source {
                    Source::Listener => self.accept(),
                    Source::Signals => self.reap(),
                    Source::Connection(key) => self.connection_ready(key, writable),
                    Source::Worker(key) => self.worker_ready(key),
                    Source::Output(id, stream) => self.output_ready(&id, stream),
                    Source::Input(id) => self.input_ready(&id),
                    Source::OutOfMemory(id) => self.out_of_memory(&id),
                }
            }
        }
    }

    fn key(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }

    fn accept(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(|listener| listener.accept()) {
            let _ = self.adopt_connection(stream.into());
        }
    }

    fn adopt_connection(&mut self, socket: OwnedFd) -> std::io::Result<()> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let key = self.key();
        self.reactor.watch(&socket, Source::Connection(key))?;
        self.connections.insert(key, Connection::new(socket));
        Ok(())
    }

    fn connection_ready(&mut self, key: u32, writable: bool) {
        if writable {
            self.flush(key);
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let open = connection.fill();
        self.next_requests(key);
        if !open {
            self.close(key);
        }
    }

    /// Handles what a connection has asked, as long as nothing is under way on it.
    fn next_requests(&mut self, key: u32) {
        loop {
            let Some(connection) = self.connections.get_mut(&key) else { return };
            match connection.mode {
                Mode::Attached { .. } => return self.attached_input(key),
                Mode::Busy => return,
                Mode::Requests | Mode::Subscribed => {}
            }
            match connection.inbox.next::<Request>() {
                Ok(Some(request)) => {
                    let descriptors = std::mem::take(&mut connection.descriptors);
                    self.handle(key, request, descriptors);
                }
                Ok(None) => return,
                Err(message) => {
                    self.reply(key, &Reply::Failed { message });
                    return self.close(key);
                }
            }
        }
    }

    fn handle(&mut self, key: u32, request: Request, descriptors: Vec<OwnedFd>) {
        let reply = match request {
            Request::Setup(setup) => match namespaces::set_up(&self.directory, &setup) {
                Ok(init) => {
                    self.init = init;
                    Reply::Done
                }
                Err(message) => Reply::Failed { message },
            },
            Request::Subscribe => {
                if let Some(connection) = self.connections.get_mut(&key) {
                    connection.mode = Mode::Subscribed;
                }
                self.state()
            }
            Request::Start(start) => match self.start(key, start) {
                Ok(()) => return,
                Err(message) => Reply::StartFailed { message },
            },
            Request::Exec(exec) => match self.exec(key, exec, descriptors) {
                Ok(()) => return,
                Err(reply) => reply,
            },
            Request::Attach { id, options } => match self.containers.get_mut(&id) {
                None => Reply::NotFound,
                Some(container) if container.exit.is_some() => {
                    Reply::Failed { message: format!("container {id} is not running") }
                }
                Some(container) => {
                    container.attached.push(key);
                    self.reply(key, &Reply::Done);
                    if let Some(connection) = self.connections.get_mut(&key) {
                        connection.mode = Mode::Attached { id, options };
                        connection.frames = connection.inbox.rest();
                    }
                    return;
                }
            },
            Request::Signal { id, signal, all } => self.signal(&id, signal, all),
            Request::ReopenLog { id } => match self.containers.get_mut(&id) {
                None => Reply::NotFound,
                Some(container) => match container.log.as_mut().map(log::Log::reopen) {
                    Some(Err(error)) => {
                        Reply::Failed { message: format!("open the log of container {id} anew: {error}") }
                    }
                    _ => Reply::Done,
                },
            },
            Request::Forget { id } => match self.containers.get(&id) {
                Some(container) if container.exit.is_none() => {
                    Reply::Failed { message: format!("container {id} is running") }
                }
                _ => {
                    self.containers.remove(&id);
                    Reply::Done
                }
            },
            Request::Stop => return self.stop(key, false),
            Request::Shutdown => return self.stop(key, true),
        };
        self.reply(key, &reply);
    }

    fn state(&self) -> Reply {
        let containers = self
            .containers
            .values()
            .map(|c| ContainerFact {
                id: c.id.clone(),
                pid: c.pid,
                started_at: c.started_at,
                exit: c.exit.clone(),
            })
            .collect();
        Reply::State { version: VERSION, pid: rustix::process::getpid().as_raw_nonzero().get(), containers }
    }

    fn signal(&mut self, id: &ContainerId, signal: i32, all: bool) -> Reply {
        let Some(container) = self.containers.get(id) else { return Reply::NotFound };
        if container.exit.is_some() {
            return Reply::Done;
        }
        // The process is our child and not reaped yet, so its number is its own.
        // SAFETY: sending a signal touches no memory.
        let sent = unsafe { libc::kill(container.pid, signal) };
        if sent < 0 {
            return Reply::Failed {
                message: format!("signal {signal} to container {id}: {}", std::io::Error::last_os_error()),
            };
        }
        if all && container.start.shares_processes {
            let _ = Cgroup::new(&container.start.cgroup).and_then(|group| group.kill(3));
        }
        Reply::Done
    }

    fn stop(&mut self, key: u32, end: bool) {
        for worker in self.workers.values() {
            // SAFETY: our own child, not reaped yet.
            unsafe { libc::kill(worker.pid, libc::SIGKILL) };
        }
        for container in self.containers.values().filter(|c| c.exit.is_none()) {
            // SAFETY: as above.
            unsafe { libc::kill(container.pid, libc::SIGKILL) };
            if container.start.shares_processes {
                let _ = Cgroup::new(&container.start.cgroup).and_then(|group| group.kill(3));
            }
        }
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.mode = Mode::Busy;
        }
        self.stopping.push((key, end));
        self.finish_stop();
    }

    /// Releases the namespaces once nothing runs any more and tells who waits.
    fn finish_stop(&mut self) {
        if self.stopping.is_empty()
            || !self.workers.is_empty()
            || self.containers.values().any(|c| c.exit.is_none())
        {
            return;
        }
        if let Some(init) = self.init.take() {
            // SAFETY: our own child.
            unsafe { libc::kill(init, libc::SIGKILL) };
        }
        let released = namespaces::release(&self.directory);
        let mut end = false;
        for (key, ends) in std::mem::take(&mut self.stopping) {
            end |= ends;
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.mode = Mode::Requests;
            }
            let reply = match &released {
                Ok(()) => Reply::Done,
                Err(message) => Reply::Failed { message: message.clone() },
            };
            self.reply(key, &reply);
        }
        if end {
            let _ = std::fs::remove_file(self.directory.socket());
            std::process::exit(0);
        }
    }

    /// Collects all children that have ended.
    fn reap(&mut self) {
        reactor::drain(&self.signals);
        loop {
            let mut status = 0;
            // SAFETY: the status lives through the call.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            let code = if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            self.ended(pid, code);
        }
        if self.workers.is_empty() {
            self.unclaimed.clear();
        }
        self.finish_stop();
    }

    fn ended(&mut self, pid: i32, code: i32) {
        if let Some(key) = self.commands.remove(&pid) {
            self.command_ended(key, code);
        } else if let Some(id) =
            self.containers.values().find(|c| c.pid == pid && c.exit.is_none()).map(|c| c.id.clone())
        {
            self.container_ended(&id, code);
        } else if self.init == Some(pid) {
            self.init = None;
        } else if !self.workers.values().any(|worker| worker.pid == pid) && !self.workers.is_empty() {
            self.unclaimed.insert(pid, code);
        }
    }

    fn command_ended(&mut self, key: u32, exit_code: i32) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.command = None;
            connection.mode = Mode::Requests;
        }
        self.reply(key, &Reply::Executed { exit_code });
        self.next_requests(key);
    }

    fn container_ended(&mut self, id: &ContainerId, exit_code: i32) {
        let Some(container) = self.containers.get(id) else { return };
        let group = Cgroup::new(&container.start.cgroup).ok();
        if container.start.shares_processes {
            // Nobody else kills what the first process leaves behind.
            let _ = group.as_ref().map(|group| group.kill(3));
        }
        let oom_killed = container.oom_seen || group.is_some_and(|group| group.oom_kills() > 0);
        // What it wrote last is in the pipes; it belongs before the exit.
        for stream in [container::Stream::Stdout, container::Stream::Stderr] {
            while self.read_output(id, stream) {}
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        container.finish_output(&mut self.reactor);
        let exit = Exit {
            exit_code,
            started_at: container.started_at,
            finished_at: now(),
            oom_killed,
            reason: String::new(),
            message: String::new(),
        };
        container.exit = Some(exit.clone());
        let attached = std::mem::take(&mut container.attached);
        self.keep_exit(id, &exit);
        for key in attached {
            self.attach_exit(key, exit_code);
        }
        self.publish(&ShimEvent::Exited { id: id.clone(), exit });
    }

    /// On disk first: a program that starts later reads it there.
    fn keep_exit(&self, id: &ContainerId, exit: &Exit) {
        let directory = self.directory.container(id);
        if let Err(error) = state::write(&directory.exit(), exit) {
            let _ = std::fs::write(
                self.directory.path().join("shim.log"),
                format!("exit of container {id} could not be written: {error}\n"),
            );
        }
        let _ = std::fs::remove_file(directory.running());
        let _ = std::fs::remove_dir_all(self.directory.oci().join(id.as_str()));
    }

    fn out_of_memory(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.drain_oom_watch();
        let kills = Cgroup::new(&container.start.cgroup).map_or(0, |group| group.oom_kills());
        if kills > container.oom_kills {
            container.oom_kills = kills;
            container.oom_seen = true;
            self.publish(&ShimEvent::OutOfMemory { id: id.clone() });
        }
    }

    fn publish(&mut self, event: &ShimEvent) {
        let keys: Vec<u32> = self
            .connections
            .iter()
            .filter(|(_, c)| matches!(c.mode, Mode::Subscribed))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.reply(key, &Reply::Event(event.clone()));
        }
    }

    fn worker_ready(&mut self, key: u32) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let Some(report) = worker.report() else { return };
        let Some(mut worker) = self.workers.remove(&key) else { return };
        self.reactor.forget(&worker.socket);
        let descriptor = worker.descriptors.pop();
        match worker.purpose {
            Purpose::Start { connection, container } => {
                self.started(connection, *container, report, descriptor)
            }
            Purpose::Exec { connection, kill_on_close } => {
                self.executing(connection, kill_on_close, report, descriptor)
            }
        }
        self.reap();
    }

    fn started(
        &mut self,
        key: u32,
        mut container: Container,
        report: worker::Report,
        console: Option<OwnedFd>,
    ) {
        let id = container.id.clone();
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.mode = Mode::Requests;
        }
        if let Some(message) = report.error {
            let exit = Exit {
                exit_code: 128,
                started_at: 0,
                finished_at: now(),
                oom_killed: false,
                reason: "StartError".into(),
                message: message.clone(),
            };
            if report.pid > 0 {
                self.unclaimed.remove(&report.pid);
            }
            container.exit = Some(exit.clone());
            self.containers.insert(id.clone(), container);
            self.keep_exit(&id, &exit);
            self.reply(key, &Reply::StartFailed { message });
            self.publish(&ShimEvent::Exited { id, exit });
            return self.next_requests(key);
        }
        container.pid = report.pid;
        container.started_at = now();
        if let Some(console) = console {
            container.adopt_console(console);
        }
        container.watch(&mut self.reactor);
        let running = RunningRecord { pid: container.pid, started_at: container.started_at };
        let _ = state::write(&self.directory.container(&id).running(), &running);
        let (pid, started_at) = (container.pid, container.started_at);
        self.containers.insert(id.clone(), container);
        self.reply(key, &Reply::Started { pid, started_at });
        self.publish(&ShimEvent::Started { id: id.clone(), pid, started_at });
        if let Some(code) = self.unclaimed.remove(&pid) {
            self.container_ended(&id, code);
        }
        self.next_requests(key);
    }

    fn executing(&mut self, key: u32, kill_on_close: bool, report: worker::Report, console: Option<OwnedFd>) {
        if let Some(message) = report.error {
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.mode = Mode::Requests;
            }
            self.reply(key, &Reply::StartFailed { message });
            return self.next_requests(key);
        }
        let pid = report.pid;
        let Some(connection) = self.connections.get_mut(&key) else {
            // Whoever asked is gone; nobody can use the command's streams.
            if kill_on_close && !self.unclaimed.contains_key(&pid) {
                // SAFETY: our own child, not reaped yet.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            return;
        };
        connection.command = kill_on_close.then_some(pid);
        let descriptors: Vec<_> = console.iter().map(AsFd::as_fd).collect();
        connection.send_with(&Reply::Executing { pid }, &descriptors);
        self.flush(key);
        match self.unclaimed.remove(&pid) {
            Some(code) => self.command_ended(key, code),
            None => {
                self.commands.insert(pid, key);
            }
        }
    }
}
