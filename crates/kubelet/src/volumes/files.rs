//! Files of a volume as values, and whose they are on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use k8s_openapi::api::core::v1::KeyToPath;

/// The mode that most volumes give their files.
pub const DEFAULT_MODE: i32 = 0o644;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// Owner; None is root.
    pub user: Option<u32>,
}

/// By path relative to the volume.
pub type Files = BTreeMap<String, File>;

/// The keys of a payload as files: all under their names, or the chosen ones
/// under chosen paths. `kind` is for the error's text.
pub fn project(
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    default_mode: Option<i32>,
    optional: bool,
    kind: &str,
) -> Result<Files, String> {
    let mode = |own: Option<i32>| own.or(default_mode).unwrap_or(DEFAULT_MODE) as u32;
    let items = items.unwrap_or_default();
    if items.is_empty() {
        let all = data
            .iter()
            .map(|(key, value)| (key.clone(), File { data: value.clone(), mode: mode(None), user: None }));
        return Ok(all.collect());
    }
    let mut files = Files::new();
    for item in items {
        let Some(value) = data.get(&item.key) else {
            if optional {
                continue;
            }
            return Err(format!("references non-existent {kind} key: {}", item.key));
        };
        let user = item.user.and_then(|user| u32::try_from(user).ok());
        files.insert(checked(&item.path)?, File { data: value.clone(), mode: mode(item.mode), user });
    }
    Ok(files)
}

/// A path that stays inside the volume.
pub fn checked(path: &str) -> Result<String, String> {
    let inside = !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
        && !path.starts_with("..");
    if inside {
        Ok(path.to_owned())
    } else {
        Err(format!("invalid path {path:?}: it must stay inside the volume"))
    }
}

/// Lets the group write to everything below, as fsGroup promises.
pub fn own_writable(directory: &Path, group: Option<u32>) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    chown(directory, None, Some(group))?;
    let mode = fs::metadata(directory)?.permissions().mode();
    fs::set_permissions(directory, fs::Permissions::from_mode(mode | 0o2770))
}
