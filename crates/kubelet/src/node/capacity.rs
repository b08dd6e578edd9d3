//! What the machine has and what of it pods may have.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::config::Config;

/// Kept free for the machine itself: upstream's hard eviction threshold.
const MEMORY_THRESHOLD: i64 = 100 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    pub cpus: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pods: i64,
    reserved_cpu_milli: i64,
    reserved_memory: i64,
}

impl Capacity {
    pub fn new(config: &Config, cpus: i64, memory_bytes: i64, disk_bytes: i64) -> Self {
        Self {
            cpus,
            memory_bytes,
            disk_bytes,
            pods: config.max_pods.into(),
            reserved_cpu_milli: config.reserved_cpu_milli as i64,
            reserved_memory: config.reserved_memory as i64,
        }
    }

    /// `status.capacity`.
    pub fn capacity(&self) -> BTreeMap<String, Quantity> {
        quantities(self.cpus * 1000, self.memory_bytes, format!("{}Ki", self.disk_bytes >> 10), self.pods)
    }

    /// `status.allocatable`.
    pub fn allocatable(&self) -> BTreeMap<String, Quantity> {
        let cpu = (self.cpus * 1000 - self.reserved_cpu_milli).max(0);
        let memory = (self.memory_bytes - self.reserved_memory - MEMORY_THRESHOLD).max(0);
        quantities(cpu, memory, (self.disk_bytes / 10 * 9).to_string(), self.pods)
    }
}

fn quantities(cpu_milli: i64, memory: i64, disk: String, pods: i64) -> BTreeMap<String, Quantity> {
    let cpu = if cpu_milli % 1000 == 0 { (cpu_milli / 1000).to_string() } else { format!("{cpu_milli}m") };
    [
        ("cpu", cpu),
        ("memory", format!("{}Ki", memory >> 10)),
        ("ephemeral-storage", disk),
        ("pods", pods.to_string()),
        ("hugepages-1Gi", "0".to_owned()),
        ("hugepages-2Mi", "0".to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), Quantity(text)))
    .into()
}
