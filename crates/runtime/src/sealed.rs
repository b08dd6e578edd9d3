//! Where the program runs from when it enters containers: a file that nobody
//! can write (CVE-2019-5736).
//!
//! A process that has joined a container's namespaces but not yet executed the
//! container's command is an image of this program, and the container could
//! open it through `/proc/PID/exe`, wait, and overwrite it for the next
//! container. So the spawner, from which all such processes are forked, is
//! executed from a private read-only overlay mount of the program's directory
//! that is attached nowhere: writing through it gives EROFS, and its pages are
//! the program's own. Where overlays cannot be made, a sealed memory file is
//! used, which costs the program's size in memory.
//!
//! Source: the same method as runc 1.2's "cloned binary" overlay.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

/// The running program, opened so that nobody can write to it.
pub(crate) fn program() -> io::Result<OwnedFd> {
    let path = std::fs::read_link("/proc/self/exe")?;
    overlay(&path).or_else(|error| {
        tracing::debug!(%error, "no read-only overlay of the program; a sealed copy in memory is used");
        memory()
    })
}

fn overlay(path: &Path) -> io::Result<OwnedFd> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("the program has no directory"));
    };
    // A comma or colon would be read as another option or layer.
    if directory.as_os_str().as_bytes().iter().any(|b| b",:\\".contains(b)) {
        return Err(io::Error::other("the program's directory has a name that overlayfs cannot take"));
    }
    // An overlay without an upper layer needs two lower ones; the second is
    // never looked at, for the name is found in the first.
    let layers = format!("{}:{}", directory.display(), std::env::temp_dir().display());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "lowerdir", layers)?;
    fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
    let file = rustix::fs::openat(
        &mount,
        name,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    // It must be this very program and not one put there meanwhile.
    let (ours, there) = (rustix::fs::stat("/proc/self/exe")?, rustix::fs::fstat(&file)?);
    if ours.st_ino != there.st_ino || ours.st_size != there.st_size {
        return Err(io::Error::other("the program's file was replaced since it was started"));
    }
    Ok(file)
}

fn memory() -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"corten".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made for us.
    let mut copy = unsafe { File::from_raw_fd(fd) };
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    copy.rewind()?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: plain numbers.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(copy.into())
}

/// Replaces this process by `program`. Returns only on failure.
pub(crate) fn execute(program: &OwnedFd, arguments: &[&CStr], environment: &[CString]) -> io::Error {
    let pointers = |list: &mut dyn Iterator<Item = *const libc::c_char>| {
        list.chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let argv = pointers(&mut arguments.iter().map(|a| a.as_ptr()));
    let envp = pointers(&mut environment.iter().map(|e| e.as_ptr()));
    // SAFETY: both lists end with a null pointer and outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}
