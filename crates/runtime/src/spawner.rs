//! The spawner: a small process with one thread from which every shim is
//! forked, so that shims share its pages and never inherit the program's
//! threads, locks or descriptors.
//!
//! [`start`] is called first in `main`. It executes the program once more, from
//! a file that nobody can write (`sealed`), as the spawner, and returns a handle
//! in the program itself. The spawner ends when the handle's socket closes;
//! shims stay.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cgroup::Cgroup;
use crate::{Error, Result, descriptors, sealed, shim};

/// First argument by which the program knows that it is the spawner.
pub const ARGUMENT: &str = "corten-shim-spawner";
/// Descriptor on which the spawner finds its socket.
const SOCKET: i32 = 3;
/// Where shims live, outside of whatever group the program is stopped with.
const CGROUP: &str = "/corten/shims";

/// The way to the spawner. Clones share it; when the last is dropped, the
/// spawner ends.
#[derive(Clone, Debug)]
pub struct Spawner {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: UnixStream,
    process: Mutex<Child>,
}

/// Starts the spawner. Must be called first in `main`, before any thread and
/// before arguments are read: in the spawner process it never returns.
pub fn start() -> Result<Spawner> {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        run();
    }
    let (ours, theirs) = UnixStream::pair().map_err(Error::io("socket pair for the spawner"))?;
    let program = sealed::program().map_err(Error::io("open the program for its shims"))?;
    // Out of the way of the number that the socket gets.
    let program = rustix::io::fcntl_dupfd_cloexec(&program, SOCKET + 1)
        .map_err(|e| Error::System(format!("open the program for its shims: {e}")))?;
    let name = CString::new(std::env::args_os().next().map(OsStringExt::into_vec).unwrap_or_default())
        .unwrap_or_default();
    // Environment of the machine's administrator, not of containers: only what
    // tools of the runtime read.
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| name == "PATH" || name == "LD_LIBRARY_PATH")
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    let theirs = OwnedFd::from(theirs);
    let mut command = Command::new("/proc/self/exe");
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let (raw_socket, argument) = (theirs.as_raw_fd(), CString::new(ARGUMENT).expect("no zero byte inside"));
    // SAFETY: only system calls between fork and exec; what is used was made before.
    unsafe {
        command.pre_exec(move || {
            // Not a child of a terminal's session: Ctrl-C is for the program.
            libc::setsid();
            if libc::dup2(raw_socket, SOCKET) < 0 || libc::fcntl(SOCKET, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Err(sealed::execute(&program, &[&name, &argument], &environment))
        });
    }
    let process = command.spawn().map_err(Error::io("start the shim spawner"))?;
    Ok(Spawner { inner: Arc::new(Inner { socket: ours, process: Mutex::new(process) }) })
}

impl Spawner {
    /// Forks a shim for the sandbox at `directory`; `control` becomes the first
    /// connection that it serves.
    pub(crate) fn shim(&self, directory: &Path, control: BorrowedFd<'_>) -> Result<()> {
        let mut message = (directory.as_os_str().len() as u32).to_le_bytes().to_vec();
        message.extend_from_slice(directory.as_os_str().as_bytes());
        let sent = descriptors::send(self.inner.socket.as_fd(), &message, &[control])
            .map_err(Error::io("ask the spawner for a shim"))?;
        if sent != message.len() {
            return Err(Error::System("the spawner takes no more requests".into()));
        }
        Ok(())
    }

    /// Ends the spawner and removes the control groups of shims and `groups`
    /// (absolute paths, inner ones first), as far as they are empty: the last
    /// step of `corten down`.
    pub fn end(self, groups: &[String]) {
        let _ = self.inner.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.inner.process.lock().wait();
        let own = [CGROUP, "/corten"];
        for path in groups.iter().map(String::as_str).chain(own) {
            if let Ok(group) = Cgroup::new(path) {
                // Still used from another data directory: theirs to remove.
                let _ = group.remove_empty();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.lock().wait();
    }
}

/// The spawner's whole life.
fn run() -> ! {
    // SAFETY: the descriptor was put there by `start` and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    descriptors::close_others(&[SOCKET]);
    let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
    let _ = rustix::thread::set_name(c"corten-spawner");
    let _ = std::env::set_current_dir("/");
    // SAFETY: shims are nobody's to wait for here; each resets this for itself.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if let Err(error) = Cgroup::new(CGROUP).and_then(|group| group.create().and_then(|()| group.enter(0))) {
        eprintln!("corten: shims stay in the program's own control group and end with its unit: {error}");
    }
    let mut inbox = Vec::new();
    let mut controls = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        match descriptors::receive(&socket, &mut bytes, &mut controls) {
            Ok(0) => std::process::exit(0),
            Ok(count) => inbox.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => std::process::exit(1),
        }
        while let Some(header) = inbox.first_chunk::<4>() {
            let length = u32::from_le_bytes(*header) as usize;
            if inbox.len() < 4 + length || controls.is_empty() {
                break;
            }
            let directory = std::ffi::OsString::from_vec(inbox[4..4 + length].to_vec());
            inbox.drain(..4 + length);
            let control = controls.remove(0);
            // SAFETY: this process has one thread.
            match unsafe { libc::fork() } {
                0 => shim::run(directory.into(), control),
                // The closed control socket tells the asker that it failed.
                _ => drop(control),
            }
        }
    }
}
