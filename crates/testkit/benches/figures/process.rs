//! What the kernel knows of processes.

use std::fs;
use std::time::Duration;

/// CPU seconds of a process and its threads so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name in brackets may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a stat line").1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    // The kernel's USER_HZ, 100 on every architecture that Rust's std supports.
    ticks / 100.0
}

/// CPU seconds of the calling thread so far.
pub fn thread_cpu_seconds() -> f64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(time.expect("Linux has this clock")).as_secs_f64()
}

/// Proportional set size in MiB of all processes that run the program of `pid`
/// out of its cluster's directory, containers left out: itself and its shims.
pub fn pss_mib(pids: &[u32]) -> f64 {
    let kib = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Pss:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    pids.iter().map(kib).sum::<f64>() / 1024.0
}

/// The processes that a cluster's program consists of: those whose command
/// line is the program's, found from `pid` and among the orphans that it left
/// to init.
pub fn of_program(pid: u32) -> Vec<u32> {
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let network = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (own, own_network) = (name(pid), network(pid));
    let all = fs::read_dir("/proc").expect("a kernel has it").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|other| name(*other) == own || name(*other).starts_with("corten"))
        .filter(|other| network(*other) == own_network)
        .collect()
}
