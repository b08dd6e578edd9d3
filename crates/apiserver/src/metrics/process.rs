//! What the kernel tells of this process, under the names of Prometheus'
//! clients.

use std::fs;

use super::text::write_single;

/// Clock ticks of /proc a second, and bytes of a page, on every Linux that is served.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

/// What stands in /proc/self/stat, as far as it is told.
#[derive(Debug, PartialEq)]
struct Stat {
    /// Seconds of user and system time.
    cpu: f64,
    /// Seconds after the system's start.
    started: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

/// Reads the line of /proc/PID/stat; what precedes the name's last bracket may hold anything.
fn parse(line: &str) -> Option<Stat> {
    let rest = line.rsplit_once(')')?.1;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first field here is the third of the manual.
    let number = |at: usize| fields.get(at - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu: (number(14)? + number(15)?) as f64 / TICKS,
        started: number(22)? as f64 / TICKS,
        virtual_bytes: number(23)?,
        resident_bytes: number(24)? * PAGE,
    })
}

/// Seconds after the epoch at which the system started.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// How many files may be open.
fn most_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

pub(super) fn write(out: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|line| parse(&line));
    if let Some(stat) = stat {
        let cpu =
            ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.");
        write_single(out, cpu, stat.cpu);
        let resident = ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
        write_single(out, resident, stat.resident_bytes);
        let size = ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.");
        write_single(out, size, stat.virtual_bytes);
        if let Some(booted) = booted() {
            let help = "Start time of the process since unix epoch in seconds.";
            write_single(out, ("process_start_time_seconds", "gauge", help), booted + stat.started);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        write_single(out, ("process_open_fds", "gauge", "Number of open file descriptors."), open.count());
    }
    if let Some(most) = most_files() {
        let family = ("process_max_fds", "gauge", "Maximum number of open file descriptors.");
        write_single(out, family, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_brackets() {
        let line =
            "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 300 4096 2 18446744073709551615 1";
        assert_eq!(
            parse(line),
            Some(Stat { cpu: 2.0, started: 3.0, virtual_bytes: 4096, resident_bytes: 8192 })
        );
        assert_eq!(parse("1 (a"), None);
    }
}
