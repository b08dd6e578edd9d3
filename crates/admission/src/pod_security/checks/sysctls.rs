//! sysctls: only those that touch nothing but the pod.

use super::{Check, Level, PodView, Violation};

pub(super) const CHECK: Check = Check {
    id: "sysctls",
    level: Level::Baseline,
    revisions: &[(0, from_0), (27, from_27), (29, from_29), (32, from_32), (37, from_37)],
    overrides: &[],
};

/// Safe sysctls, and the version from which each counts as safe.
const SAFE: [(u32, &str); 14] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
    (37, "net.ipv4.tcp_slow_start_after_idle"),
    (37, "net.ipv4.tcp_notsent_lowat"),
];

fn from_0(pod: PodView<'_>) -> Option<Violation> {
    check(pod, 0)
}

fn from_27(pod: PodView<'_>) -> Option<Violation> {
    check(pod, 27)
}

fn from_29(pod: PodView<'_>) -> Option<Violation> {
    check(pod, 29)
}

fn from_32(pod: PodView<'_>) -> Option<Violation> {
    check(pod, 32)
}

fn from_37(pod: PodView<'_>) -> Option<Violation> {
    check(pod, 37)
}

fn check(pod: PodView<'_>, version: u32) -> Option<Violation> {
    let is_safe = |name: &str| SAFE.iter().any(|(from, safe)| *from <= version && *safe == name);
    let names = pod.context()["sysctls"].items().iter().map(|sysctl| sysctl["name"].text());
    let unsafe_ones: Vec<&str> = names.filter(|name| !is_safe(name)).collect();
    (!unsafe_ones.is_empty())
        .then(|| Violation { reason: "forbidden sysctls", detail: unsafe_ones.join(", ") })
}
