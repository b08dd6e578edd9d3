//! What the ephemeral volume controller counts
//! (`ephemeral_volume_controller_…`).

use serve::families::{Counter, Description, Families};

pub(super) struct Metrics {
    attempts: Counter,
    failures: Counter,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let help = "[ALPHA] Number of PersistentVolumeClaim creation requests";
        let of = |name| families.counter(Description { name, help, labels: &[] });
        Self {
            attempts: of("ephemeral_volume_controller_create_total"),
            failures: of("ephemeral_volume_controller_create_failures_total"),
        }
    }

    /// A claim was asked for.
    pub fn asked(&self, failed: bool) {
        self.attempts.increase(&[]);
        if failed {
            self.failures.increase(&[]);
        }
    }
}
