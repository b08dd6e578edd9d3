//! Running a command in a running container, in a worker: join its control
//! group and namespaces, take its rights, execute.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::{Bundle, Report, outcome};
use crate::capabilities;
use crate::cgroup::Cgroup;
use crate::descriptors;
use crate::shim::container::own;
use crate::shim::payload;
use crate::state::ContainerDir;

/// Runs `command` in the container whose first process is `pid`. `streams` are
/// its standard streams; with a terminal they are made here and its master is
/// given back.
pub(super) fn enter(
    directory: &ContainerDir,
    pid: i32,
    command: &[String],
    tty: bool,
    streams: &[i32],
) -> (Report, Option<OwnedFd>) {
    match try_enter(directory, pid, command, tty, streams) {
        Ok((pid, master, None)) => (Report { pid, error: None }, master),
        Ok((pid, _, Some(message))) => {
            (Report { pid, error: Some(format!("unable to start container process: {message}")) }, None)
        }
        Err(message) => {
            (Report { pid: 0, error: Some(format!("unable to start container process: {message}")) }, None)
        }
    }
}

type Entered = (i32, Option<OwnedFd>, Option<String>);

fn try_enter(
    directory: &ContainerDir,
    pid: i32,
    command: &[String],
    tty: bool,
    streams: &[i32],
) -> Result<Entered, String> {
    let bundle = Bundle::load(directory)?;
    let last = |doing: &str| format!("{doing}: {}", io::Error::last_os_error());
    let (status_read, status_write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    // The terminal's master comes back over this.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|e| e.to_string())?;
    // Before anything of the container can see this process: nobody there may
    // look into it or open its program (CVE-2016-9962, CVE-2019-5736).
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    join_cgroup(&bundle, pid)?;
    // SAFETY: plain numbers; the shim holds the process unreaped, so the
    // number is the container's.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    if pidfd < 0 {
        return Err(last("open the container's first process"));
    }
    let kinds = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    // SAFETY: as above.
    if unsafe { libc::setns(pidfd, kinds) } < 0 {
        return Err(last("join the container's namespaces"));
    }
    // The process namespace holds for children only.
    // SAFETY: one thread; the child ends by exec or `_exit`.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(last("fork into the container"));
    }
    if child == 0 {
        drop(ours);
        let message = become_command(&bundle, command, tty, streams, theirs);
        let _ = File::from(status_write).write_all(message.as_bytes());
        // SAFETY: ends this process only.
        unsafe { libc::_exit(127) };
    }
    drop((status_write, theirs));
    let mut masters = Vec::new();
    if tty {
        let _ = descriptors::receive(ours.as_fd(), &mut [0; 8], &mut masters);
    }
    Ok((child, masters.pop(), outcome(&mut File::from(status_read))))
}

/// The container's group, or where its first process has moved since: a
/// container with an init system of its own empties the outer group (v2 allows
/// processes in leaves only).
fn join_cgroup(bundle: &Bundle, pid: i32) -> Result<(), String> {
    let group = Cgroup::new(&bundle.linux.cgroups_path).map_err(|e| e.to_string())?;
    let Err(error) = group.enter(0) else { return Ok(()) };
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let inner =
        own.lines().find_map(|line| line.strip_prefix("0::")).filter(|path| path.starts_with(group.path()));
    match inner.map(Cgroup::new) {
        Some(Ok(inner)) => inner.enter(0).map_err(|e| format!("join the container's control group: {e}")),
        _ => Err(format!("join the container's control group: {error}")),
    }
}

/// In the container: becomes the command or says why not.
fn become_command(
    bundle: &Bundle,
    command: &[String],
    tty: bool,
    streams: &[i32],
    console: std::os::unix::net::UnixStream,
) -> String {
    let process = &bundle.process;
    let prepared = || -> Result<(), String> {
        // SAFETY: no memory is touched.
        unsafe { libc::setsid() };
        if tty {
            terminal(&console, (process.user.uid, process.user.gid))?;
        } else {
            for (to, from) in streams.iter().enumerate() {
                // SAFETY: numbers of descriptors that this process has.
                if unsafe { libc::dup2(*from, to as i32) } < 0 {
                    return Err(format!("standard streams: {}", io::Error::last_os_error()));
                }
            }
        }
        drop(console);
        take_rights(bundle)
    };
    match prepared() {
        Ok(()) => payload::execute(command, &environment(&process.env, tty), process.user.uid),
        Err(message) => message,
    }
}

fn environment(env: &[String], tty: bool) -> Vec<String> {
    let mut out = env.to_vec();
    if tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        out.push("TERM=xterm".into());
    }
    out
}

/// Opens a terminal of the container's own devpts, makes it the controlling one
/// and sends its master back.
fn terminal(console: &std::os::unix::net::UnixStream, owner: (u32, u32)) -> Result<(), String> {
    let said = |doing: &str, e: &dyn std::fmt::Display| format!("terminal: {doing}: {e}");
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, rustix::fs::Mode::empty())
        .map_err(|e| said("open /dev/ptmx", &e))?;
    // The container could have put anything there (CVE-2025-52565).
    let is_devpts = rustix::fs::fstatfs(&master).is_ok_and(|s| s.f_type as u64 == 0x1cd1);
    let is_ptmx = rustix::fs::fstat(&master)
        .is_ok_and(|s| rustix::fs::major(s.st_rdev) == 5 && rustix::fs::minor(s.st_rdev) == 2);
    if !is_devpts || !is_ptmx {
        return Err("terminal: /dev/ptmx of the container is not a terminal multiplexer".into());
    }
    let unlocked: libc::c_int = 0;
    // SAFETY: the number lives through the call.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlocked) } < 0 {
        return Err(said("unlock", &io::Error::last_os_error()));
    }
    // Asked of the master itself, so no path is followed.
    // SAFETY: plain numbers; the result is a new descriptor.
    let slave = unsafe {
        let fd = libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCGPTPEER,
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        );
        if fd < 0 {
            return Err(said("open its other side", &io::Error::last_os_error()));
        }
        OwnedFd::from_raw_fd(fd)
    };
    own(&slave, owner).map_err(|e| said("give it to the user", &e))?;
    descriptors::send(console.as_fd(), b"console", &[master.as_fd()]).map_err(|e| said("send", &e))?;
    // SAFETY: numbers of descriptors that this process has.
    unsafe {
        libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0);
        for to in 0..3 {
            if libc::dup2(slave.as_raw_fd(), to) < 0 {
                return Err(said("standard streams", &io::Error::last_os_error()));
            }
        }
    }
    Ok(())
}

/// Takes over user, capabilities, filter and directory of the container's first
/// process, in runc's order.
fn take_rights(bundle: &Bundle) -> Result<(), String> {
    let process = &bundle.process;
    let failed = |doing: &str| format!("{doing}: {}", io::Error::last_os_error());
    let filter = || match &bundle.linux.seccomp {
        Some(seccomp) => libcontainer::seccomp::initialize_seccomp(seccomp)
            .map(drop)
            .map_err(|e| format!("seccomp filter: {e}")),
        None => Ok(()),
    };
    let directory = || {
        std::env::set_current_dir(&process.cwd)
            .map_err(|e| format!("chdir to cwd ({:?}): {}", process.cwd, payload::word(&e)))
    };
    // As root first; a user may have rights that root's missing capabilities
    // lack, so a failure is tried again as the user.
    let changed = directory().is_ok();
    // SAFETY: system calls on this process alone, with memory that outlives them.
    unsafe {
        if process.no_new_privileges {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        } else {
            // Without no_new_privs a filter needs CAP_SYS_ADMIN, held only now.
            filter()?;
        }
        let granted = capabilities_of(&process.capabilities.bounding);
        for number in 0..capabilities::NAMES.len() {
            if granted & (1 << number) == 0
                && libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) == 1
                && libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) < 0
            {
                return Err(failed("drop capabilities"));
            }
        }
        libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0);
        let groups = &process.user.additional_gids;
        if libc::setgroups(groups.len(), groups.as_ptr()) < 0 {
            return Err(failed("set supplementary groups"));
        }
        if libc::setresgid(process.user.gid, process.user.gid, process.user.gid) < 0 {
            return Err(failed("set the group"));
        }
        if libc::setresuid(process.user.uid, process.user.uid, process.user.uid) < 0 {
            return Err(failed("set the user"));
        }
        libc::prctl(libc::PR_SET_KEEPCAPS, 0, 0, 0, 0);
        set_capabilities(granted).map_err(|e| format!("set capabilities: {e}"))?;
    }
    if !changed {
        directory()?;
    }
    if process.no_new_privileges {
        filter()?;
    }
    Ok(())
}

fn capabilities_of(names: &[String]) -> capabilities::Set {
    capabilities::NAMES
        .iter()
        .enumerate()
        .filter(|(_, name)| names.iter().any(|n| n.strip_prefix("CAP_") == Some(name)))
        .fold(0, |set, (number, _)| set | (1 << number))
}

/// capset(2), version 3: two halves of 32 bits.
fn set_capabilities(set: capabilities::Set) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Half {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let half = |bits: u32| Half { effective: bits, permitted: bits, inheritable: 0 };
    let header = Header { version: 0x2008_0522, pid: 0 };
    let halves = [half(set as u32), half((set >> 32) as u32)];
    // SAFETY: both live through the call and have the kernel's layout.
    if unsafe { libc::syscall(libc::SYS_capset, &header, halves.as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
