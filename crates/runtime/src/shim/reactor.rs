//! Waiting for many descriptors at once: epoll with names.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::event::epoll;

use super::container::Stream;
use crate::ContainerId;

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener,
    Signals,
    Connection(u32),
    Worker(u32),
    Output(ContainerId, Stream),
    Input(ContainerId),
    OutOfMemory(ContainerId),
}

/// The descriptors that are watched.
pub(super) struct Reactor {
    epoll: OwnedFd,
    sources: BTreeMap<i32, Source>,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, sources: BTreeMap::new() })
    }

    /// Tells of `fd` becoming readable.
    pub(super) fn watch(&mut self, fd: impl AsFd, source: Source) -> io::Result<()> {
        self.add(fd, source, epoll::EventFlags::IN)
    }

    /// Tells of `fd` becoming writable (and not readable), until forgotten.
    pub(super) fn watch_writable(&mut self, fd: impl AsFd, source: Source) -> io::Result<()> {
        self.add(fd, source, epoll::EventFlags::OUT)
    }

    fn add(&mut self, fd: impl AsFd, source: Source, flags: epoll::EventFlags) -> io::Result<()> {
        let raw = fd.as_fd().as_raw_fd();
        let data = epoll::EventData::new_u64(raw as u64);
        if self.sources.insert(raw, source).is_some() {
            epoll::modify(&self.epoll, fd, data, flags)?;
        } else {
            epoll::add(&self.epoll, fd, data, flags)?;
        }
        Ok(())
    }

    /// Also (or no longer) tells of `fd` becoming writable.
    pub(super) fn want_write(&self, fd: impl AsFd, wanted: bool) {
        let data = epoll::EventData::new_u64(fd.as_fd().as_raw_fd() as u64);
        let flags =
            if wanted { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        let _ = epoll::modify(&self.epoll, fd, data, flags);
    }

    /// Must be called before a watched descriptor is closed.
    pub(super) fn forget(&mut self, fd: impl AsFd) {
        if self.sources.remove(&fd.as_fd().as_raw_fd()).is_some() {
            let _ = epoll::delete(&self.epoll, fd);
        }
    }

    /// Sleeps until something is ready; each with whether it is writable.
    pub(super) fn wait(&self) -> Vec<(Source, bool)> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(16);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(_) => return Vec::new(),
        }
        events
            .iter()
            .filter_map(|event| {
                let source = self.sources.get(&(event.data.u64() as i32))?.clone();
                Some((source, { event.flags }.contains(epoll::EventFlags::OUT)))
            })
            .collect()
    }
}

/// A descriptor that becomes readable when a child has ended. The signal is
/// blocked from then on.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set lives through the calls.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Reads and drops all that is there.
pub(super) fn drain(fd: impl AsFd) {
    let mut bytes = [0; 1024];
    while matches!(rustix::io::read(&fd, &mut bytes), Ok(count) if count > 0) {}
}
