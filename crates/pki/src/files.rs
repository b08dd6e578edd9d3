//! Reading and writing PEM files: atomically, with modes that keep keys from
//! everybody but their owner. Nothing here knows what the files hold.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::Error;

/// Mode of files with a private key.
pub(crate) const SECRET: u32 = 0o600;
/// Mode of files that anybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// The file's text, or nothing where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Error::Read { path: path.into(), why }),
    }
}

/// Writes a file so that a crash leaves either the old one or the new one.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let failed = |why| Error::Write { path: path.into(), why };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = Path::new(&name);
    match fs::remove_file(fresh) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(why)),
        _ => {}
    }
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(fresh).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(fresh, path).map_err(failed)
}

/// Makes the directory for keys, closed to others, and closes an existing one.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    let failed = |why| Error::Write { path: path.into(), why };
    if path.is_dir() {
        return fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)
}
