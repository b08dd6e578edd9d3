//! Capabilities of containers: names, numbers, the default set, and what adding
//! and dropping makes of it. Pure, but for reading what this machine has.
//!
//! Source: capabilities(7); the default set is containerd's.

use std::collections::BTreeSet;

use crate::{Error, Result, SecurityContext};

/// Names in the order of their numbers (uapi/linux/capability.h).
pub(crate) const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, one bit for each number.
pub(crate) type Set = u64;

fn number(name: &str) -> Option<usize> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    NAMES.iter().position(|known| *known == name)
}

/// What a container gets: the default set, plus `add`, minus `drop`; `ALL`
/// counts first in either list, as in CRI. Only what `available` has.
pub(crate) fn granted(context: &SecurityContext, available: Set) -> Result<Set> {
    if context.privileged {
        return Ok(available);
    }
    let has_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let mut set: BTreeSet<usize> = DEFAULT.iter().filter_map(|name| number(name)).collect();
    if has_all(&context.add_capabilities) {
        set = (0..NAMES.len()).collect();
    }
    if has_all(&context.drop_capabilities) {
        set.clear();
    }
    let numbers = |list: &[String]| -> Result<Vec<usize>> {
        list.iter()
            .filter(|name| !name.eq_ignore_ascii_case("ALL"))
            .map(|name| number(name).ok_or_else(|| Error::Invalid(format!("unknown capability {name:?}"))))
            .collect()
    };
    set.extend(numbers(&context.add_capabilities)?);
    for dropped in numbers(&context.drop_capabilities)? {
        set.remove(&dropped);
    }
    Ok(set.into_iter().fold(0, |bits, number| bits | (1 << number)) & available)
}

/// `CAP_…` names of a set, in the order of their numbers.
pub(crate) fn names(set: Set) -> Vec<String> {
    NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| set & (1 << number) != 0)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect()
}

/// What this process may hand on: its bounding set. A container cannot get
/// more, and asking the kernel for more would fail the whole container.
pub(crate) fn available() -> Set {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
        & ((1 << NAMES.len()) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_dropping() {
        let everything = (1 << NAMES.len()) - 1;
        let set = |add: &[&str], drop: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
            names(
                granted(
                    &SecurityContext {
                        add_capabilities: own(add),
                        drop_capabilities: own(drop),
                        ..Default::default()
                    },
                    everything,
                )
                .unwrap(),
            )
        };
        assert_eq!(set(&[], &[]).len(), 14);
        assert_eq!(set(&[], &["ALL"]), Vec::<String>::new());
        assert_eq!(set(&["NET_ADMIN"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(set(&["ALL"], &[]).len(), NAMES.len());
        assert!(!set(&["ALL"], &["CAP_SYS_ADMIN"]).contains(&"CAP_SYS_ADMIN".to_owned()));
        assert!(!set(&[], &["net_raw"]).contains(&"CAP_NET_RAW".to_owned()));
    }

    #[test]
    fn what_the_machine_lacks_is_left_out_and_nonsense_refused() {
        let context = SecurityContext { add_capabilities: vec!["SYS_RESOURCE".into()], ..Default::default() };
        assert!(!names(granted(&context, 1).unwrap()).contains(&"CAP_SYS_RESOURCE".to_owned()));
        let context = SecurityContext { add_capabilities: vec!["FLY".into()], ..Default::default() };
        assert!(granted(&context, u64::MAX).is_err());
    }
}
