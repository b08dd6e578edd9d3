//! All files of a volume change at once: they lie in a directory of their
//! own, which the link `..data` names, and that link is replaced by a rename.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path};

use jiff::Timestamp;

use super::files::{File, Files};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Makes the volume hold exactly `files`; what is so already stays untouched.
pub fn write(volume: &Path, files: &Files, group: Option<u32>, now: Timestamp) -> io::Result<()> {
    let old = fs::read_link(volume.join(DATA)).ok();
    if let Some(old) = &old
        && is_as_wanted(&volume.join(old), files, group)?
    {
        return link_names(volume, files);
    }
    let fresh = fresh_directory(volume, now)?;
    for (path, file) in files {
        put(&fresh.1, Path::new(path), file, group)?;
    }
    own(&fresh.1, None, group, 0o755)?;
    let link = volume.join(DATA_NEW);
    remove(&link)?;
    symlink(&fresh.0, &link)?;
    fs::rename(&link, volume.join(DATA))?;
    link_names(volume, files)?;
    if let Some(old) = old {
        remove(&volume.join(old))?;
    }
    Ok(())
}

fn fresh_directory(volume: &Path, now: Timestamp) -> io::Result<(String, std::path::PathBuf)> {
    let base = format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    for attempt in 0..1000 {
        let name = if attempt == 0 { base.clone() } else { format!("{base}-{attempt}") };
        let path = volume.join(&name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((name, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn put(directory: &Path, path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    let full = directory.join(path);
    if let Some(parent) = path.parent() {
        let mut at = directory.to_owned();
        for part in parent.components() {
            at.push(part);
            if !at.is_dir() {
                fs::create_dir(&at)?;
                own(&at, None, group, 0o755)?;
            }
        }
    }
    fs::write(&full, &file.data)?;
    own(&full, file.user, group, file.mode)
}

/// With a group, it may read what the mode's owner may, as fsGroup promises.
fn own(path: &Path, user: Option<u32>, group: Option<u32>, mode: u32) -> io::Result<()> {
    if user.is_some() || group.is_some() {
        chown(path, user, group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode_for(path.is_dir(), mode, group)))
}

fn mode_for(directory: bool, mode: u32, group: Option<u32>) -> u32 {
    match (group, directory) {
        (None, _) => mode,
        (Some(_), true) => mode | 0o2550,
        (Some(_), false) => mode | 0o440,
    }
}

fn is_as_wanted(directory: &Path, files: &Files, group: Option<u32>) -> io::Result<bool> {
    let mut there = BTreeSet::new();
    collect(directory, directory, &mut there)?;
    if there.len() != files.len() || !files.keys().all(|path| there.contains(path)) {
        return Ok(false);
    }
    for (path, file) in files {
        let full = directory.join(path);
        let mode = fs::metadata(&full)?.permissions().mode() & 0o7777;
        if mode != mode_for(false, file.mode, group) || fs::read(&full)? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(root: &Path, at: &Path, into: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, into)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            into.insert(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// `NAME -> ..data/NAME` for every first part of a path; others go.
fn link_names(volume: &Path, files: &Files) -> io::Result<()> {
    let names: BTreeSet<String> = files
        .keys()
        .filter_map(|path| match Path::new(path).components().next() {
            Some(Component::Normal(name)) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    for name in &names {
        let target = Path::new(DATA).join(name);
        let link = volume.join(name);
        if fs::read_link(&link).ok().as_deref() != Some(&target) {
            remove(&link)?;
            symlink(&target, &link)?;
        }
    }
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(&name) {
            remove(&volume.join(name))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
