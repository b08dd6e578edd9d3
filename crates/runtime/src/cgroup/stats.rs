//! Reading a control group's counters.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Stats;

/// The number after `name` in a file of `name number` lines.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(path: PathBuf) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

pub(super) fn unified(directory: &Path) -> Stats {
    let cpu = fs::read_to_string(directory.join("cpu.stat")).unwrap_or_default();
    let memory = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let usage = number(directory.join("memory.current")).unwrap_or(0);
    Stats {
        cpu_usage: field(&cpu, "usage_usec").unwrap_or(0) * 1000,
        memory_usage: usage,
        memory_working_set: usage.saturating_sub(field(&memory, "inactive_file").unwrap_or(0)),
        memory_rss: field(&memory, "anon").unwrap_or(0),
        page_faults: field(&memory, "pgfault").unwrap_or(0),
        major_page_faults: field(&memory, "pgmajfault").unwrap_or(0),
        memory_limit: number(directory.join("memory.max")),
        pids: number(directory.join("pids.current")).unwrap_or(0),
        ..Stats::default()
    }
}

pub(super) fn split(directory: impl Fn(&str) -> Option<PathBuf>) -> Stats {
    let read = |controller: &str, file: &str| directory(controller).and_then(|d| number(d.join(file)));
    let memory =
        directory("memory").and_then(|d| fs::read_to_string(d.join("memory.stat")).ok()).unwrap_or_default();
    let usage = read("memory", "memory.usage_in_bytes").unwrap_or(0);
    Stats {
        cpu_usage: read("cpuacct", "cpuacct.usage").unwrap_or(0),
        memory_usage: usage,
        memory_working_set: usage.saturating_sub(field(&memory, "total_inactive_file").unwrap_or(0)),
        memory_rss: field(&memory, "total_rss").unwrap_or(0),
        page_faults: field(&memory, "total_pgfault").unwrap_or(0),
        major_page_faults: field(&memory, "total_pgmajfault").unwrap_or(0),
        // The kernel shows "none" as the largest multiple of a page.
        memory_limit: read("memory", "memory.limit_in_bytes").filter(|limit| *limit < 1 << 62),
        pids: read("pids", "pids.current").unwrap_or(0),
        ..Stats::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_whole_name() {
        let text = "anon 10\nanon_thp 20\ntotal_rss 30\nrss 40\n";
        assert_eq!(field(text, "anon"), Some(10));
        assert_eq!(field(text, "rss"), Some(40));
        assert_eq!(field(text, "total"), None);
    }
}
