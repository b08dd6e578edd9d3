//! What the pod garbage collector counts (`pod_gc_collector_…`).

use serve::families::{Counter, Description, Families};

use super::plan::Why;

pub(super) struct Metrics {
    deleted: Counter,
    failed: Counter,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let labels = &["namespace", "reason"];
        Self {
            deleted: families.counter(Description {
                name: "pod_gc_collector_force_delete_pods_total",
                help: "[ALPHA] Number of pods that are being forcefully deleted since the Pod GC Controller started.",
                labels,
            }),
            failed: families.counter(Description {
                name: "pod_gc_collector_force_delete_pod_errors_total",
                help: "[ALPHA] Number of errors encountered when forcefully deleting the pods since the Pod GC \
                       Controller started.",
                labels,
            }),
        }
    }

    /// A pod was to be deleted.
    pub fn deletes(&self, namespace: &str, why: Why, failed: bool) {
        let labels = [namespace, reason(why)];
        self.deleted.increase(&labels);
        if failed {
            self.failed.increase(&labels);
        }
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Orphaned => "orphaned",
        Why::Unscheduled => "unscheduled",
        Why::OutOfService => "out-of-service",
        Why::TooMany => "terminated",
    }
}
