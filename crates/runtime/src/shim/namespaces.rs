//! A sandbox's namespaces: made by the shim, pinned by bind mounts, left again.
//! There is no pause container; only a shared PID namespace needs a process,
//! and gets one that reaps.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::protocol::Setup;
use crate::state::SandboxDir;

/// Makes what `setup` asks for. Gives PID 1 of the shared process namespace.
pub(super) fn set_up(directory: &SandboxDir, setup: &Setup) -> Result<Option<i32>, String> {
    let said = |doing: &'static str| move |error: io::Error| format!("{doing}: {error}");
    fs::create_dir_all(directory.namespaces()).map_err(said("make the namespace directory"))?;
    let mut kinds: Vec<(&str, libc::c_int, LinkNameSpaceType)> = Vec::new();
    if !setup.host_network {
        kinds.push(("net", libc::CLONE_NEWNET, LinkNameSpaceType::Network));
        kinds.push(("uts", libc::CLONE_NEWUTS, LinkNameSpaceType::HostNameAndNISDomainName));
    }
    if !setup.host_ipc {
        kinds.push(("ipc", libc::CLONE_NEWIPC, LinkNameSpaceType::InterProcessCommunication));
    }
    let own: Vec<File> = kinds
        .iter()
        .map(|(name, _, _)| File::open(format!("/proc/self/ns/{name}")))
        .collect::<io::Result<_>>()
        .map_err(said("open the node's namespaces"))?;
    // SAFETY: flags only; this process has one thread.
    if unsafe { libc::unshare(kinds.iter().map(|(_, flag, _)| flag).sum()) } < 0 {
        return Err(format!("make the sandbox's namespaces: {}", io::Error::last_os_error()));
    }
    let made = furnish(directory, setup, &kinds.iter().map(|(name, _, _)| *name).collect::<Vec<_>>());
    for ((_, _, kind), file) in kinds.iter().zip(&own) {
        move_into_link_name_space(file.as_fd(), Some(*kind))
            .map_err(|e| format!("return to the node's namespaces: {e}"))?;
    }
    if made.is_err() {
        let _ = release(directory);
    }
    made
}

/// Works inside the new namespaces.
fn furnish(directory: &SandboxDir, setup: &Setup, names: &[&str]) -> Result<Option<i32>, String> {
    for name in names {
        pin(directory, name, Path::new(&format!("/proc/self/ns/{name}")))?;
    }
    if !setup.host_network {
        rustix::system::sethostname(setup.hostname.as_bytes())
            .map_err(|e| format!("set the host name {:?}: {e}", setup.hostname))?;
        loopback_up().map_err(|e| format!("bring up loopback: {e}"))?;
    }
    for (name, value) in &setup.sysctls {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(&path, value).map_err(|e| format!("set sysctl {name}={value}: {e}"))?;
    }
    if !setup.host_ipc {
        let shared = directory.shared_memory();
        fs::create_dir_all(&shared).map_err(|e| format!("make the shared memory directory: {e}"))?;
        let options =
            std::ffi::CString::new(format!("mode=1777,size={}", setup.shared_memory)).unwrap_or_default();
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("shm", &shared, "tmpfs", flags, options.as_c_str())
            .map_err(|e| format!("mount the shared memory: {e}"))?;
    }
    if !setup.share_process_namespace {
        return Ok(None);
    }
    let init = start_init().map_err(|e| format!("start the init of the shared process namespace: {e}"))?;
    pin(directory, "pid", Path::new(&format!("/proc/{init}/ns/pid")))?;
    Ok(Some(init))
}

fn pin(directory: &SandboxDir, name: &str, namespace: &Path) -> Result<(), String> {
    let file = directory.namespaces().join(name);
    let doing = |e: &dyn std::fmt::Display| format!("pin the {name} namespace: {e}");
    File::create(&file).map_err(|e| doing(&e))?;
    mount_bind(namespace, &file).map_err(|e| doing(&e))
}

/// Takes the pins away. The kernel frees a namespace when its last process ends.
pub(crate) fn release(directory: &SandboxDir) -> Result<(), String> {
    let mut failed = Vec::new();
    let mut drop_mount = |path: &Path| match unmount(path, UnmountFlags::DETACH) {
        // Not there, or not a mount: done before.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => failed.push(format!("unmount {}: {error}", path.display())),
    };
    for name in ["net", "uts", "ipc", "pid"] {
        let file = directory.namespaces().join(name);
        drop_mount(&file);
        let _ = fs::remove_file(&file);
    }
    drop_mount(&directory.shared_memory());
    let _ = fs::remove_dir(directory.shared_memory());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: an all-zero request is valid; both calls get its address.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Forks PID 1 of a new process namespace, in the sandbox's other namespaces.
fn start_init() -> io::Result<i32> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: one thread; the child ends by `_exit`.
    let middle = unsafe { libc::fork() };
    if middle < 0 {
        return Err(io::Error::last_os_error());
    }
    if middle == 0 {
        // SAFETY: as above. What is forked here is the first process of the
        // new namespace and becomes the shim's child when this one ends.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            if libc::unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS) < 0 {
                libc::_exit(1);
            }
            match libc::fork() {
                0 => init(),
                pid if pid > 0 => {
                    let _ = rustix::io::write(&write, &pid.to_le_bytes());
                    libc::_exit(0);
                }
                _ => libc::_exit(1),
            }
        }
    }
    drop(write);
    let mut pid = [0; 4];
    let count = rustix::io::read(&read, &mut pid)?;
    // SAFETY: our own child; it ends at once.
    unsafe { libc::waitpid(middle, std::ptr::null_mut(), 0) };
    if count != 4 {
        return Err(io::Error::other("it ended at once"));
    }
    Ok(i32::from_le_bytes(pid))
}

/// PID 1: an empty root, no rights, and nothing to do but reap.
fn init() -> ! {
    crate::descriptors::close_others(&[]);
    let _ = rustix::thread::set_name(c"corten-init");
    // Through /proc/1/root the containers see nothing but this empty place.
    let empty = || -> rustix::io::Result<()> {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        mount(
            "empty",
            "/proc",
            "tmpfs",
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            c"size=4k",
        )?;
        rustix::process::chdir("/proc")?;
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)
    };
    if empty().is_err() {
        // SAFETY: ends this process only.
        unsafe { libc::_exit(1) };
    }
    // SAFETY: system calls on this process alone.
    unsafe {
        libc::setgroups(0, std::ptr::null());
        libc::setresgid(65535, 65535, 65535);
        libc::setresuid(65535, 65535, 65535);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
        loop {
            let mut info = std::mem::zeroed::<libc::siginfo_t>();
            libc::sigwaitinfo(&set, &mut info);
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
        }
    }
}
