//! The numbers behind a user's name, by a root file system's own files.

use std::path::Path;

/// What a process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    pub uid: u32,
    pub gid: u32,
    /// The user's groups by /etc/group.
    pub additional_gids: Vec<u32>,
}

/// Resolves `uid`, `name`, `uid:gid` or `name:group`; "" is root.
pub fn resolve_user(root: &Path, user: &str) -> crate::Result<ResolvedUser> {
    let passwd = read_inside(root, "etc/passwd");
    let group = read_inside(root, "etc/group");
    resolve_by(&passwd, &group, user).map_err(crate::Error::System)
}

fn resolve_by(passwd: &str, group: &str, user: &str) -> Result<ResolvedUser, String> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let users =
        || passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 4);
    let known = users().find(|fields| fields[0] == name).or_else(|| users().find(|fields| fields[2] == name));
    let (login, uid, own_gid) = match &known {
        Some(fields) => {
            let number =
                |text: &str| text.parse::<u32>().map_err(|_| format!("/etc/passwd: {text:?} is no number"));
            (fields[0], number(fields[2])?, number(fields[3])?)
        }
        None => {
            let uid = name
                .parse()
                .map_err(|_| format!("unable to find user {name}: no matching entries in passwd file"))?;
            ("", uid, 0)
        }
    };
    let groups =
        || group.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 4);
    let gid = match group_name {
        None => own_gid,
        Some(wanted) => {
            match groups().find(|fields| fields[0] == wanted).and_then(|fields| fields[2].parse().ok()) {
                Some(gid) => gid,
                None => wanted.parse().map_err(|_| {
                    format!("unable to find group {wanted}: no matching entries in group file")
                })?,
            }
        }
    };
    let member = |fields: &Vec<&str>| !login.is_empty() && fields[3].split(',').any(|member| member == login);
    let additional_gids = match group_name {
        // An explicit group stands alone, as Docker has it.
        Some(_) => Vec::new(),
        None => groups()
            .filter(member)
            .filter_map(|fields| fields[2].parse().ok())
            .filter(|other| *other != gid)
            .collect(),
    };
    Ok(ResolvedUser { uid, gid, additional_gids })
}

/// A small file of a root file system, never outside of it.
fn read_inside(root: &Path, path: &str) -> String {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    use std::io::Read;
    let open = || {
        let directory =
            rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat2(
            &directory,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    };
    let mut text = String::new();
    if let Ok(file) = open() {
        let _ = std::fs::File::from(file).take(1 << 20).read_to_string(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/:/bin/false\n";
        let group = "root:x:0:\nweb:x:34:\nlogs:x:50:web,root\n";
        let resolve = |user| resolve_by(passwd, group, user);
        let user = |uid, gid, more: &[u32]| Ok(ResolvedUser { uid, gid, additional_gids: more.to_vec() });
        assert_eq!(resolve(""), user(0, 0, &[50]));
        assert_eq!(resolve("web"), user(33, 34, &[50]));
        assert_eq!(resolve("33"), user(33, 34, &[50]));
        assert_eq!(resolve("web:logs"), user(33, 50, &[]));
        assert_eq!(resolve("1000"), user(1000, 0, &[]));
        assert_eq!(resolve("1000:2000"), user(1000, 2000, &[]));
        assert!(resolve("nobody").unwrap_err().contains("nobody"));
        assert!(resolve("web:nogroup").unwrap_err().contains("nogroup"));
    }
}
