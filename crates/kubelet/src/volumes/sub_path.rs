//! subPath: opened so that no symbolic link of the volume leads out of it
//! (CVE-2017-1002101, CVE-2021-25741).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

/// Opens `path` below `volume`; what is missing is made as directories.
pub fn open_sub_path(volume: &Path, path: &str) -> io::Result<OwnedFd> {
    let base: OwnedFd = File::open(volume)?.into();
    match open(&base, Path::new(path)) {
        Err(Errno::ENOENT) => {}
        done => return Ok(done?),
    }
    let mut reached = base;
    for part in Path::new(path).components() {
        let Component::Normal(name) = part else { continue };
        let name = Path::new(name);
        reached = match open(&reached, name) {
            Err(Errno::ENOENT) => {
                match mkdirat(reached.as_fd(), name, Mode::from_bits_truncate(0o777)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                open(&reached, name)?
            }
            done => done?,
        };
    }
    Ok(reached)
}

fn open(base: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(base, path, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_do_not_lead_out() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", directory.path().join("out")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("in")).unwrap();
        std::fs::create_dir(directory.path().join("real")).unwrap();
        assert!(open_sub_path(directory.path(), "out/passwd").is_err());
        assert!(open_sub_path(directory.path(), "in").is_ok());
        open_sub_path(directory.path(), "new/deep").unwrap();
        assert!(directory.path().join("new/deep").is_dir());
    }
}
