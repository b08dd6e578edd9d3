//! What the TTL-after-finished controller counts
//! (`ttl_after_finished_controller_…`).

use jiff::Timestamp;
use serve::families::{Description, Families, Histogram, exponential};

pub(super) struct Metrics(Histogram);

impl Metrics {
    pub fn among(families: &Families) -> Self {
        Self(families.histogram(
            Description {
                name: "ttl_after_finished_controller_job_deletion_duration_seconds",
                help: "[ALPHA] The time it took to delete the job since it became eligible for deletion",
                labels: &[],
            },
            exponential(0.1, 2.0, 14),
        ))
    }

    /// A Job was deleted whose time was over at `due`.
    pub fn deleted(&self, due: Timestamp, now: Timestamp) {
        self.0.observe(&[], now.duration_since(due).as_secs_f64());
    }
}
