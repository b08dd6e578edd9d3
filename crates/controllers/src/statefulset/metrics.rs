//! What the StatefulSet controller tells of its sets
//! (`statefulset_controller_…`).

use informer::ObjectKey;
use serve::families::{Description, Families, Gauge};

use super::plan::Plan;

pub(super) struct Metrics {
    most: Gauge,
    unavailable: Gauge,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let labels = &["statefulset_namespace", "statefulset_name", "pod_management_policy"];
        Self {
            most: families.gauge(Description {
                name: "statefulset_controller_statefulset_max_unavailable",
                help: "[ALPHA] Maximum number of unavailable pods allowed during StatefulSet rolling updates",
                labels,
            }),
            unavailable: families.gauge(Description {
                name: "statefulset_controller_statefulset_unavailable_replicas",
                help: "[ALPHA] Current number of unavailable pods in StatefulSet",
                labels,
            }),
        }
    }

    pub fn planned(&self, key: &ObjectKey, plan: &Plan) {
        let labels = [key.namespace.as_str(), &key.name, policy(plan.parallel)];
        self.most.set(&labels, plan.max_unavailable.into());
        if let Some(unavailable) = plan.unavailable {
            self.unavailable.set(&labels, unavailable.into());
        }
    }

    pub fn forget(&self, key: &ObjectKey) {
        for parallel in [true, false] {
            let labels = [key.namespace.as_str(), &key.name, policy(parallel)];
            self.most.remove(&labels);
            self.unavailable.remove(&labels);
        }
    }
}

fn policy(parallel: bool) -> &'static str {
    if parallel { "Parallel" } else { "OrderedReady" }
}
