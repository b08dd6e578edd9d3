//! Unpacking a layer's tar into a directory that overlayfs takes as a lower
//! layer. Content comes from strangers: no path, link or device of it reaches
//! outside of the directory.
//!
//! Source: OCI image specification, "Image Layer Filesystem Changeset"; kernel
//! document filesystems/overlayfs (whiteouts are 0:0 devices, opaque directories
//! carry trusted.overlay.opaque).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};

use crate::{Error, Result};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Unpacks the tar that `reader` gives into `directory`, which exists and is
/// empty. Gives the bytes of its files.
pub(crate) fn unpack(reader: impl Read, directory: &Path) -> Result<u64> {
    let root = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::System(format!("open {}: {e}", directory.display())))?;
    let mut unpacker = Unpacker { root, directories: Vec::new(), bytes: 0 };
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        unpacker.entry(&mut entry, &path).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                Error::Damaged(format!("layer entry {}: {e}", path.display()))
            }
            _ => Error::System(format!("unpack {}: {e}", path.display())),
        })?;
    }
    unpacker.finish().map_err(Error::io("set times of directories"))?;
    Ok(unpacker.bytes)
}

fn damaged(error: io::Error) -> Error {
    Error::Damaged(format!("layer: {error}"))
}

struct Unpacker {
    root: OwnedFd,
    /// Times of directories, set last because filling a directory changes them.
    directories: Vec<(PathBuf, Timestamps)>,
    bytes: u64,
}

/// A path without `.` and a leading `/`; None when it climbs.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

impl Unpacker {
    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        rustix::fs::openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// The directory at `path`, made with its parents when missing.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(found) => return Ok(found),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(invalid("it has no name"));
        };
        let parent = self.directory(parent)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.open(path, OFlags::PATH | OFlags::DIRECTORY)?)
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader | tar::EntryType::XHeader) {
            return Ok(());
        }
        let path = plain(path).ok_or_else(|| invalid("it climbs out of the layer"))?;
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (self.directory(parent)?, name),
            // The root itself: only its attributes.
            _ => {
                let root = self.open(Path::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?;
                return self.attributes(entry, &root, &path, kind);
            }
        };
        if name.as_bytes() == OPAQUE {
            let directory =
                self.open(path.parent().unwrap_or(Path::new("")), OFlags::RDONLY | OFlags::DIRECTORY)?;
            return Ok(rustix::fs::fsetxattr(
                &directory,
                "trusted.overlay.opaque",
                b"y",
                XattrFlags::empty(),
            )?);
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            if hidden.is_empty() || hidden == b"." || hidden == b".." {
                return Err(invalid("it whites out no name"));
            }
            let hidden = OsStr::from_bytes(hidden);
            remove(&parent, hidden)?;
            return Ok(rustix::fs::mknodat(&parent, hidden, FileType::CharacterDevice, Mode::empty(), 0)?);
        }
        if kind.is_dir() {
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => {
                    let there = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
                        rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            let made = rustix::fs::openat(
                &parent,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            return self.attributes(entry, &made, &path, kind);
        }
        remove(&parent, name)?;
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file =
                    File::from(rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?);
                self.bytes += io::copy(entry, &mut file)?;
                self.attributes(entry, &file.into(), &path, kind)
            }
            tar::EntryType::Link => {
                let target =
                    entry.link_name()?.ok_or_else(|| invalid("a link without a target"))?.into_owned();
                let target = plain(&target).ok_or_else(|| invalid("a link out of the layer"))?;
                let (Some(above), Some(last)) = (target.parent(), target.file_name()) else {
                    return Err(invalid("a link to the root"));
                };
                let above = self.open(above, OFlags::PATH | OFlags::DIRECTORY)?;
                // Not following a symbolic link at the end: a hard link to it is meant.
                Ok(rustix::fs::linkat(&above, last, &parent, name, AtFlags::empty())?)
            }
            tar::EntryType::Symlink => {
                let target =
                    entry.link_name_bytes().ok_or_else(|| invalid("a link without a target"))?.into_owned();
                rustix::fs::symlinkat(target.as_slice(), &parent, name)?;
                self.owner(entry, &parent, name)?;
                let times = times(entry);
                Ok(rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {
                let header = entry.header();
                // A pipe has no numbers, and often not even blanks for them.
                let number = |field: io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
                let device =
                    rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
                let kind = match kind {
                    tar::EntryType::Char => FileType::CharacterDevice,
                    tar::EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                rustix::fs::mknodat(
                    &parent,
                    name,
                    kind,
                    Mode::from_raw_mode(0o600),
                    if kind == FileType::Fifo { 0 } else { device },
                )?;
                self.owner(entry, &parent, name)?;
                let mode = Mode::from_raw_mode(mode(entry)? & 0o7777);
                rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?;
                Ok(rustix::fs::utimensat(&parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
            }
            // What is unknown is left out, as every runtime does.
            _ => Ok(()),
        }
    }

    fn owner(&self, entry: &tar::Entry<'_, impl Read>, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let (uid, gid) = ids(entry)?;
        Ok(rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Owner, extended attributes, mode and times of a file or directory.
    fn attributes(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        fd: &OwnedFd,
        path: &Path,
        kind: tar::EntryType,
    ) -> io::Result<()> {
        let (uid, gid) = ids(entry)?;
        rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
                // Overlay's own marks would change what lower layers show.
                if name.starts_with(b"trusted.overlay.") {
                    continue;
                }
                match rustix::fs::fsetxattr(fd, name, extension.value_bytes(), XattrFlags::empty()) {
                    // The file system has no place for it.
                    Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        // After the owner: changing that clears setuid.
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode(entry)? & 0o7777))?;
        let times = times(entry);
        if kind.is_dir() {
            self.directories.push((path.to_owned(), times));
            return Ok(());
        }
        Ok(rustix::fs::futimens(fd, &times)?)
    }

    fn finish(&mut self) -> io::Result<()> {
        for (path, times) in self.directories.iter().rev() {
            match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(directory) => rustix::fs::futimens(&directory, times)?,
                // Replaced by something else later in the layer.
                Err(_) => continue,
            }
        }
        Ok(())
    }
}

fn ids(entry: &tar::Entry<'_, impl Read>) -> io::Result<(Uid, Gid)> {
    let id = |field: &[u8], number: io::Result<u64>| -> io::Result<u32> {
        // Some writers leave the field empty for root.
        if field.iter().all(|b| matches!(b, 0 | b' ')) {
            return Ok(0);
        }
        let number = number.map_err(|_| invalid("its owner is not a number"))?;
        u32::try_from(number)
            .ok()
            .filter(|n| *n != u32::MAX)
            .ok_or_else(|| invalid("an owner beyond 32 bits"))
    };
    let header = entry.header();
    let (uid, gid) = (id(&header.as_old().uid, header.uid())?, id(&header.as_old().gid, header.gid())?);
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn mode(entry: &tar::Entry<'_, impl Read>) -> io::Result<u32> {
    entry.header().mode().map_err(|_| invalid("its mode is not a number"))
}

fn times(entry: &tar::Entry<'_, impl Read>) -> Timestamps {
    let seconds = entry.header().mtime().ok().and_then(|t| i64::try_from(t).ok()).unwrap_or(0);
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes what an earlier entry of the same name left, with all below it.
fn remove(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
            for entry in rustix::fs::Dir::read_from(&directory)? {
                let entry = entry?;
                let child = OsStr::from_bytes(entry.file_name().to_bytes());
                if child != "." && child != ".." {
                    remove(&directory, child)?;
                }
            }
            Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

    use super::*;

    struct Tar(tar::Builder<Vec<u8>>);

    impl Tar {
        fn new() -> Self {
            Self(tar::Builder::new(Vec::new()))
        }

        fn add(mut self, kind: tar::EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Self {
            let mut header = tar::Header::new_gnu();
            // Written raw: the builder refuses what an attacker would send.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(7);
            header.set_gid(8);
            header.set_mtime(1_000_000);
            header.set_size(content.len() as u64);
            header.set_cksum();
            self.0.append(&header, content).unwrap();
            self
        }

        fn file(self, path: &str, content: &str) -> Self {
            self.add(tar::EntryType::Regular, path, "", 0o644, content.as_bytes())
        }

        fn unpack(self) -> (tempfile::TempDir, Result<u64>) {
            let directory = tempfile::tempdir().unwrap();
            let bytes = self.0.into_inner().unwrap();
            let done = unpack(&bytes[..], directory.path());
            (directory, done)
        }
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn files_keep_what_they_are() {
        if !is_root() {
            return;
        }
        let (directory, done) = Tar::new()
            .add(tar::EntryType::Directory, "d/", "", 0o1777, b"")
            .add(tar::EntryType::Regular, "./d/suid", "", 0o4755, b"program")
            .add(tar::EntryType::Link, "hard", "d/suid", 0, b"")
            .add(tar::EntryType::Symlink, "soft", "/etc/passwd", 0, b"")
            .add(tar::EntryType::Fifo, "pipe", "", 0o600, b"")
            .file("deep/er/file", "x")
            .file("twice", "old")
            .file("twice", "new")
            .unpack();
        assert_eq!(done.unwrap(), 14);
        let at = |path: &str| directory.path().join(path);
        let suid = at("d/suid").metadata().unwrap();
        assert_eq!((suid.mode() & 0o7777, suid.uid(), suid.gid(), suid.mtime()), (0o4755, 7, 8, 1_000_000));
        assert_eq!(suid.ino(), at("hard").metadata().unwrap().ino());
        assert_eq!(at("d").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
        assert_eq!(at("d").metadata().unwrap().mtime(), 1_000_000);
        assert_eq!(std::fs::read_link(at("soft")).unwrap(), Path::new("/etc/passwd"));
        assert!(at("pipe").symlink_metadata().unwrap().file_type().is_fifo());
        assert_eq!(std::fs::read_to_string(at("twice")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(at("deep/er/file")).unwrap(), "x");
    }

    #[test]
    fn whiteouts_are_overlays() {
        if !is_root() {
            return;
        }
        let (directory, done) = Tar::new().file("a/.wh.gone", "").file("b/.wh..wh..opq", "").unpack();
        done.unwrap();
        let gone = directory.path().join("a/gone").symlink_metadata().unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
        let mut value = [0; 4];
        let opaque = File::open(directory.path().join("b")).unwrap();
        // Some file systems of build machines have no trusted attributes.
        assert_eq!(rustix::fs::fgetxattr(&opaque, "trusted.overlay.opaque", &mut value), Ok(1));
        assert_eq!(value[0], b'y');
    }

    #[test]
    fn nothing_leaves_the_directory() {
        if !is_root() {
            return;
        }
        let outside = tempfile::tempdir().unwrap();
        let outside_path = outside.path().to_str().unwrap();
        for tar in [
            Tar::new().file("../escaped", "x"),
            Tar::new().file("a/../../escaped", "x"),
            Tar::new().add(tar::EntryType::Link, "hard", "../../etc/passwd", 0, b""),
            Tar::new().file(".wh...", "x"),
        ] {
            assert!(matches!(tar.unpack().1, Err(Error::Damaged(_))));
        }
        // Absolute names and links lead to places inside.
        let (directory, done) = Tar::new()
            .add(tar::EntryType::Symlink, "out", outside_path, 0, b"")
            .add(tar::EntryType::Directory, &outside_path[1..], "", 0o755, b"")
            .file("out/file", "x")
            .file("/etc/file", "y")
            .unpack();
        done.unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(directory.path().join(&outside_path[1..]).join("file").exists());
        assert!(directory.path().join("etc/file").exists());
    }

    #[test]
    fn cut_content_is_an_error() {
        let bytes = Tar::new().file("file", &"x".repeat(2000)).0.into_inner().unwrap();
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(unpack(&bytes[..900], directory.path()), Err(Error::Damaged(_))));
    }
}
