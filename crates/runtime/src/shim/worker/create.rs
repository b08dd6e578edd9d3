//! Building and starting a container with libcontainer, in a worker.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Component, Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Bundle, Report, outcome};
use crate::cgroup::Cgroup;
use crate::descriptors;
use crate::shim::container::ChildStreams;
use crate::shim::payload;
use crate::state::ContainerDir;

/// The container's own command. Reports failures over a pipe that closes by
/// itself when the command is executed.
#[derive(Clone)]
struct Payload {
    status: i32,
    environment: Vec<String>,
}

impl Executor for Payload {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref();
        let args = process.and_then(|p| p.args().clone()).unwrap_or_default();
        let message = payload::execute(&args, &self.environment, process.map_or(0, |p| p.user().uid()));
        // SAFETY: the descriptor was inherited for this and is used by nobody else.
        let mut status = unsafe { File::from_raw_fd(self.status) };
        let _ = status.write_all(message.as_bytes());
        Err(ExecutorError::Other(message))
    }

    /// All that can be wrong is said by `exec`, in one place and in runc's words.
    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// The environment goes straight into execve: order and duplicates count.
    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// Builds the container of the bundle and executes its command.
pub(super) fn create(
    directory: &ContainerDir,
    oci: &Path,
    oom_score_adj: Option<i32>,
    tty: bool,
    streams: Option<ChildStreams>,
) -> (Report, Option<OwnedFd>) {
    match try_create(directory, oci, oom_score_adj, tty, streams) {
        Ok((pid, console, None)) => (Report { pid, error: None }, console),
        Ok((pid, _, Some(message))) => (
            Report {
                pid,
                error: Some(format!(
                    "unable to start container process: error during container init: {message}"
                )),
            },
            None,
        ),
        Err(message) => {
            (Report { pid: 0, error: Some(format!("unable to start container process: {message}")) }, None)
        }
    }
}

type Created = (i32, Option<OwnedFd>, Option<String>);

fn try_create(
    directory: &ContainerDir,
    oci: &Path,
    oom_score_adj: Option<i32>,
    tty: bool,
    streams: Option<ChildStreams>,
) -> Result<Created, String> {
    let bundle = Bundle::load(directory)?;
    make_working_directory(&bundle.root.path, &bundle.process.cwd)?;
    if let Some(adjustment) = oom_score_adj {
        // Lowering needs CAP_SYS_RESOURCE; without it the container lives with
        // what it inherits.
        let _ = fs::write("/proc/self/oom_score_adj", adjustment.to_string());
    }
    let (status_read, status_write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    let id = directory.path().file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    fs::create_dir_all(oci).map_err(|e| format!("{}: {e}", oci.display()))?;
    let group = Cgroup::new(&bundle.linux.cgroups_path).and_then(|group| group.enter_beside(0));
    group.map_err(|e| format!("join the container's control group: {e}"))?;
    let details = Details::listen()?;
    let console = tty.then(|| ConsoleSocket::listen(directory.path())).transpose()?;
    let payload = Payload { status: status_write.as_raw_fd(), environment: bundle.process.env };
    let mut builder = ContainerBuilder::new(id, SyscallType::default())
        .with_root_path(oci)
        .map_err(|e| said(&e))?
        .with_executor(payload)
        .with_console_socket(console.as_ref().map(|c| c.path.clone()));
    if let Some(streams) = streams {
        builder = builder.with_stdin(streams.stdin).with_stdout(streams.stdout).with_stderr(streams.stderr);
    }
    let mut container = builder
        .as_init(directory.path())
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(|e| details.added_to(said(&e)))?;
    drop(status_write);
    let pid = container.pid().map_or(0, |pid| pid.as_raw());
    let master = console.map(ConsoleSocket::receive).transpose()?;
    container.start().map_err(|e| said(&e))?;
    Ok((pid, master, outcome(&mut File::from(status_read))))
}

/// libcontainer hands up only the outermost sentence of what failed in the
/// container's first process; the kernel's word is in its log. This subscriber
/// collects error events of the worker and all it forks.
struct Details(File);

struct Collector(OwnedFd);

impl Details {
    fn listen() -> Result<Self, String> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags).map_err(|e| e.to_string())?;
        // The worker is single-purpose: nobody else has set one here.
        let _ = tracing::subscriber::set_global_default(Collector(write));
        Ok(Self(File::from(read)))
    }

    /// The first thing that was logged says most.
    fn added_to(&self, message: String) -> String {
        let mut text = vec![0; 16 << 10];
        let count = (&self.0).read(&mut text).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..count]).into_owned();
        match text.lines().next() {
            Some(first) if !message.contains(first) => format!("{message}: {first}"),
            _ => message,
        }
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let part = if field.name() == "message" {
                    format!("{value:?}")
                } else {
                    format!("{}={value:?}", field.name())
                };
                self.0 = if self.0.is_empty() { part } else { format!("{} {part}", self.0) };
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let _ = rustix::io::write(&self.0, format!("{}\n", line.0.replace('\n', " ")).as_bytes());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// An error with its causes, each said once.
fn said(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        cause = error.source();
    }
    out
}

/// Where libcontainer sends the terminal that the container's first process has
/// opened.
struct ConsoleSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl ConsoleSocket {
    fn listen(directory: &Path) -> Result<Self, String> {
        let said = |e: &dyn std::fmt::Display| format!("console socket: {e}");
        let path = directory.join("console.sock");
        let _ = fs::remove_file(&path);
        // Bound relative to the directory: socket paths are short.
        std::env::set_current_dir(directory).map_err(|e| said(&e))?;
        let listener = UnixListener::bind("console.sock").map_err(|e| said(&e))?;
        std::env::set_current_dir("/").map_err(|e| said(&e))?;
        Ok(Self { path, listener })
    }

    fn receive(self) -> Result<OwnedFd, String> {
        let (stream, _) = self.listener.accept().map_err(|e| format!("console socket: {e}"))?;
        let mut descriptors = Vec::new();
        descriptors::receive(stream.as_fd(), &mut [0; 64], &mut descriptors)
            .map_err(|e| format!("console socket: {e}"))?;
        let _ = fs::remove_file(&self.path);
        descriptors.pop().ok_or_else(|| "the container's first process sent no terminal".into())
    }
}

/// Makes the working directory in the root file system when it is missing, as
/// every runtime does. Never follows a link out of it.
fn make_working_directory(root: &Path, cwd: &str) -> Result<(), String> {
    let said = |e: rustix::io::Errno| format!("make the working directory {cwd}: {e}");
    let mut at: OwnedFd =
        rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| format!("root file system {}: {e}", root.display()))?;
    let base = at.try_clone().map_err(|e| e.to_string())?;
    let mut walked = PathBuf::new();
    for part in Path::new(cwd).components() {
        let Component::Normal(name) = part else { continue };
        walked.push(name);
        let open = || {
            rustix::fs::openat2(
                &base,
                &walked,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            )
        };
        at = match open() {
            Ok(next) => next,
            Err(rustix::io::Errno::NOENT) => {
                match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    // A read-only root: a mount may still provide it.
                    Err(rustix::io::Errno::ROFS) => return Ok(()),
                    Err(error) => return Err(said(error)),
                }
                open().map_err(said)?
            }
            Err(error) => return Err(said(error)),
        };
    }
    Ok(())
}
