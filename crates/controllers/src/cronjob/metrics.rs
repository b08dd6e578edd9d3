//! What the CronJob controller counts (`cronjob_controller_…`).

use jiff::Timestamp;
use serve::families::{Description, Families, Histogram, exponential};

pub(super) struct Metrics(Histogram);

impl Metrics {
    pub fn among(families: &Families) -> Self {
        Self(families.histogram(
            Description {
                name: "cronjob_controller_job_creation_skew_duration_seconds",
                help: "[STABLE] Time between when a cronjob is scheduled to be run, and when the corresponding \
                       job is created",
                labels: &[],
            },
            exponential(1.0, 2.0, 10),
        ))
    }

    /// A Job was created for its time.
    pub fn created(&self, scheduled: Timestamp, created: Timestamp) {
        self.0.observe(&[], created.duration_since(scheduled).as_secs_f64());
    }
}
