//! hostPath: a path of the node, checked or made as its type says.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

use super::Content;

pub(super) fn content(source: &HostPathVolumeSource) -> Result<Content, String> {
    let path = Path::new(&source.path);
    let said = |error: std::io::Error| error.to_string();
    let kind = source.type_.as_deref().unwrap_or_default();
    match kind {
        "DirectoryOrCreate" if !path.exists() => {
            fs::create_dir_all(path).map_err(said)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(said)?;
        }
        "FileOrCreate" if !path.exists() => {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)
                .map_err(said)?;
        }
        _ => {}
    }
    let is = fs::metadata(path).map(|metadata| metadata.file_type());
    let failed = |what: &str| Err(format!("hostPath type check failed: {} is not {what}", source.path));
    let fits = |test: fn(&fs::FileType) -> bool| is.as_ref().is_ok_and(test);
    match kind {
        "" => {}
        "Directory" | "DirectoryOrCreate" if !fits(fs::FileType::is_dir) => return failed("a directory"),
        "File" | "FileOrCreate" if !fits(fs::FileType::is_file) => return failed("a file"),
        "Socket" if !fits(fs::FileType::is_socket) => return failed("a socket file"),
        "CharDevice" if !fits(fs::FileType::is_char_device) => return failed("a character device"),
        "BlockDevice" if !fits(fs::FileType::is_block_device) => return failed("a block device"),
        _ => {}
    }
    Ok(Content::Node(path.to_owned()))
}
