//! Parts of volumes (subPath, files of variables): opened so that no symbolic link of the volume leads out of it
//! (CVE-2017-1002101, CVE-2021-25741).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

/// Most bytes that are read of a file at once.
const LARGEST_FILE: u64 = 1 << 20;

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

/// What a file below `volume` holds, as far as it is one and not huge. Links
/// are followed as if the volume were the root.
pub fn read_file(volume: &Path, path: &str) -> io::Result<String> {
    let base: OwnedFd = File::open(volume)?.into();
    let how = OpenHow::new()
        // Whoever wrote the volume may have made a pipe: opening must not wait.
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = File::from(openat2(&base, Path::new(path), how)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(io::Error::other(format!("longer than {LARGEST_FILE} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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

    #[test]
    fn files_are_read_below_the_volume() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("env"), "A='1'").unwrap();
        std::os::unix::fs::symlink("/env", directory.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../../etc/passwd", directory.path().join("out")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(read_file(directory.path(), "env").unwrap(), "A='1'");
        assert_eq!(read_file(directory.path(), "link").unwrap(), "A='1'");
        for none in ["out", "pipe", "../env/x", "missing", "."] {
            assert!(read_file(directory.path(), none).is_err(), "{none}");
        }
    }
}
