//! Which value goes into which file of a control group: pure.

use crate::Resources;

/// One file to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) controller: &'static str,
    pub(crate) file: String,
    pub(crate) value: String,
    /// A limit somebody relies on: its absence is an error.
    pub(crate) required: bool,
}

/// cgroup v1 shares (2..=262144) as v2 weight (1..=10000), the curve that runc
/// 1.3 and newer use so that 1024 shares are a weight of 100.
///
/// Source: opencontainers/cgroups, conversion of cpu shares.
fn weight_of_shares(shares: u64) -> u64 {
    if shares == 0 {
        return 0;
    }
    let shares = shares.clamp(2, 262_144);
    if shares == 2 {
        return 1;
    }
    if shares == 262_144 {
        return 10_000;
    }
    let log = (shares as f64).log2();
    // 612 log^2 terms and 34 make the curve meet (2, 1), (1024, 100), (262144, 10000).
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent)).ceil() as u64
}

/// The files for `resources`, in an order in which the kernel accepts them.
pub(crate) fn writes(resources: &Resources, unified: bool) -> Vec<Write> {
    let mut out = Vec::new();
    let mut push = |controller: &'static str, file: &str, value: String, required: bool| {
        out.push(Write { controller, file: file.to_owned(), value, required });
    };
    if let Some(shares) = resources.cpu_shares.filter(|s| *s > 0) {
        if unified {
            push("cpu", "cpu.weight", weight_of_shares(shares).to_string(), true);
        } else {
            push("cpu", "cpu.shares", shares.clamp(2, 262_144).to_string(), true);
        }
    }
    if resources.cpu_quota.is_some() || resources.cpu_period.is_some() {
        let period = resources.cpu_period.filter(|p| *p > 0);
        let quota = resources.cpu_quota.filter(|q| *q != 0);
        if unified {
            let quota = quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
            push("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)), true);
        } else {
            if let Some(period) = period {
                push("cpu", "cpu.cfs_period_us", period.to_string(), true);
            }
            if let Some(quota) = quota {
                push("cpu", "cpu.cfs_quota_us", quota.max(-1).to_string(), true);
            }
        }
    }
    if let Some(cpus) = resources.cpuset_cpus.as_ref().filter(|c| !c.is_empty()) {
        push("cpuset", "cpuset.cpus", cpus.clone(), true);
    }
    if let Some(mems) = resources.cpuset_mems.as_ref().filter(|m| !m.is_empty()) {
        push("cpuset", "cpuset.mems", mems.clone(), true);
    }
    if let Some(limit) = resources.memory_limit.filter(|l| *l != 0) {
        if unified {
            push("memory", "memory.max", if limit < 0 { "max".to_owned() } else { limit.to_string() }, true);
            // Kubernetes' default swap behaviour is none for limited pods (KEP-2400).
            push("memory", "memory.swap.max", if limit < 0 { "max" } else { "0" }.to_owned(), false);
        } else {
            push("memory", "memory.limit_in_bytes", limit.max(-1).to_string(), true);
        }
    }
    if let Some(limit) = resources.pids_limit.filter(|l| *l != 0) {
        push("pids", "pids.max", if limit < 0 { "max".to_owned() } else { limit.to_string() }, true);
    }
    for (size, bytes) in &resources.hugepages {
        let file =
            if unified { format!("hugetlb.{size}.max") } else { format!("hugetlb.{size}.limit_in_bytes") };
        push("hugetlb", &file, bytes.to_string(), *bytes > 0);
    }
    if unified {
        for (file, value) in &resources.unified {
            // Only plain file names: a path could leave the group.
            if !file.contains('/') {
                push("memory", file, value.clone(), true);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in [(0, 0), (1, 1), (2, 1), (1024, 100), (262_144, 10_000), (1 << 40, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        assert!((2..262_144).step_by(997).map(weight_of_shares).is_sorted());
    }

    #[test]
    fn each_layout_has_its_files() {
        let resources = Resources {
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory_limit: Some(64 << 20),
            pids_limit: Some(-1),
            hugepages: [("2MB".to_owned(), 4 << 20)].into(),
            unified: [("memory.high".to_owned(), "1000".to_owned()), ("../x".to_owned(), "1".to_owned())]
                .into(),
            ..Resources::default()
        };
        let shown = |unified| -> Vec<String> {
            writes(&resources, unified).iter().map(|w| format!("{}={}", w.file, w.value)).collect()
        };
        assert_eq!(
            shown(false),
            [
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "memory.limit_in_bytes=67108864",
                "pids.max=max",
                "hugetlb.2MB.limit_in_bytes=4194304"
            ]
        );
        assert_eq!(
            shown(true),
            [
                "cpu.weight=59",
                "cpu.max=50000 100000",
                "memory.max=67108864",
                "memory.swap.max=0",
                "pids.max=max",
                "hugetlb.2MB.max=4194304",
                "memory.high=1000"
            ]
        );
    }

    #[test]
    fn nothing_set_writes_nothing() {
        assert!(writes(&Resources::default(), true).is_empty());
        assert!(writes(&Resources::default(), false).is_empty());
    }
}
