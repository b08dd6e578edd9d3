//! The few kernel switches that routing pods needs. They belong to the network
//! namespace of the calling thread.

use std::path::PathBuf;

use crate::Error;

/// Lets the kernel forward packets of the families in use.
///
/// Forwarding IPv6 makes a host stop listening to router advertisements, by
/// which it may have got its own default route; links that listened go on.
pub(crate) fn forward(ipv4: bool, ipv6: bool) -> Result<(), Error> {
    if ipv4 {
        set("net/ipv4/ip_forward", "1")?;
    }
    if ipv6 {
        let listening: Vec<_> = std::fs::read_dir("/proc/sys/net/ipv6/conf")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| format!("net/ipv6/conf/{}/accept_ra", entry.file_name().to_string_lossy()))
            .filter(|key| get(key).as_deref() == Some("1"))
            .collect();
        for key in listening {
            set(&key, "2")?;
        }
        set("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// Whether this machine has IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    get("net/ipv6/conf/all/disable_ipv6").is_some()
}

/// Writes `value` where something else stands.
pub(crate) fn set(key: &str, value: &str) -> Result<(), Error> {
    if get(key).as_deref() == Some(value) {
        return Ok(());
    }
    let path = path(key);
    std::fs::write(&path, value).map_err(Error::file("write the kernel switch", path))
}

fn get(key: &str) -> Option<String> {
    std::fs::read_to_string(path(key)).ok().map(|text| text.trim().to_owned())
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}
