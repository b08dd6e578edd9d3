//! Mounts on the node, behind a trait so that a kubelet can be tried without
//! the rights to mount.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

pub trait Mounter: Send + Sync + 'static {
    /// A file system in memory; no size is half of the machine's memory.
    fn tmpfs(&self, at: &Path, size: Option<u64>, mode: u32) -> io::Result<()>;
    /// Shows the opened file or directory at `at`, which is made.
    fn bind(&self, what: &OwnedFd, at: &Path) -> io::Result<()>;
    /// Fine where nothing is mounted.
    fn unmount(&self, at: &Path) -> io::Result<()>;
    fn is_mounted(&self, at: &Path) -> bool;
    /// Everything mounted below `directory`, the deepest first.
    fn mounts_below(&self, directory: &Path) -> Vec<PathBuf>;
}

pub struct KernelMounter;

impl Mounter for KernelMounter {
    fn tmpfs(&self, at: &Path, size: Option<u64>, mode: u32) -> io::Result<()> {
        let options = match size {
            Some(size) => format!("size={size},mode={mode:o}"),
            None => format!("mode={mode:o}"),
        };
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        // `noswap` needs kernel 6.4; secrets must not be swapped where it can be had.
        let with_noswap = format!("{options},noswap");
        mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(with_noswap.as_str()))
            .or_else(|_| mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options.as_str())))
            .map_err(Into::into)
    }

    fn bind(&self, what: &OwnedFd, at: &Path) -> io::Result<()> {
        let source = PathBuf::from(format!("/proc/self/fd/{}", what.as_raw_fd()));
        if self.is_bound(at) {
            self.unmount(at)?;
        }
        if fs::metadata(&source)?.is_dir() {
            fs::create_dir_all(at)?;
        } else {
            if let Some(parent) = at.parent() {
                fs::create_dir_all(parent)?;
            }
            if !at.exists() {
                File::create(at)?;
            }
        }
        mount(Some(&source), at, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        Ok(())
    }

    fn unmount(&self, at: &Path) -> io::Result<()> {
        match umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_mounted(&self, at: &Path) -> bool {
        let device = |path: &Path| fs::symlink_metadata(path).ok().map(|metadata| metadata.dev());
        at.parent().is_some_and(|parent| device(at) != device(parent))
    }

    fn mounts_below(&self, directory: &Path) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found: Vec<PathBuf> = table
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(|path| PathBuf::from(unescaped(path)))
            .filter(|path| path.starts_with(directory))
            .collect();
        found.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        found
    }
}

impl KernelMounter {
    /// A bind of the same file system has its parent's device: ask the table.
    fn is_bound(&self, at: &Path) -> bool {
        self.mounts_below(at).iter().any(|path| path == at)
    }
}

/// `\040` and the like, as mountinfo writes blanks.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| text.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_paths() {
        assert_eq!(unescaped("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescaped("/plain\\x"), "/plain\\x");
    }
}
