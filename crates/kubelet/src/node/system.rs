//! What the kernel says about the machine.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;

use crate::config::Config;

/// As container images call this machine's processor.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Reads below /proc, /sys and /etc.
pub struct System;

impl System {
    pub fn cpus() -> i64 {
        std::thread::available_parallelism().map_or(1, |count| count.get() as i64)
    }

    /// Bytes by a name of /proc/meminfo.
    pub fn memory(name: &str) -> i64 {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok())
            .map_or(0, |kibibytes| kibibytes << 10)
    }

    /// Bytes of the file system at `path`: all and free.
    pub fn disk(path: &Path) -> (i64, i64) {
        match nix::sys::statvfs::statvfs(path) {
            Ok(stat) => {
                let block = stat.fragment_size() as i64;
                (stat.blocks() as i64 * block, stat.blocks_available() as i64 * block)
            }
            Err(_) => (0, 0),
        }
    }

    /// Processes and threads: how many there are and may be.
    pub fn pids() -> (i64, i64) {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let now = load.split_whitespace().nth(3).and_then(|part| part.split_once('/')?.1.parse().ok());
        let most = read("/proc/sys/kernel/pid_max").parse().ok();
        (now.unwrap_or(0), most.unwrap_or(i64::MAX))
    }

    pub fn info(config: &Config) -> NodeSystemInfo {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let image = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
        NodeSystemInfo {
            architecture: architecture().into(),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            container_runtime_version: format!("corten://{}", env!("CARGO_PKG_VERSION")),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            kube_proxy_version: String::new(),
            kubelet_version: config.version.clone(),
            machine_id: read("/etc/machine-id"),
            operating_system: "linux".into(),
            os_image: image.trim_matches('"').into(),
            system_uuid: read("/sys/class/dmi/id/product_uuid"),
            ..NodeSystemInfo::default()
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
