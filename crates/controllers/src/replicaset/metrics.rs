//! What the controller counts (`replicaset_controller_…`), whatever kind it
//! runs.

use serve::families::{Description, Families, Histogram, exponential};

pub(super) struct Metrics(Histogram);

impl Metrics {
    pub fn among(families: &Families) -> Self {
        Self(families.histogram(
            Description {
                name: "replicaset_controller_sorting_deletion_age_ratio",
                help: "[ALPHA] The ratio of chosen deleted pod's ages to the current youngest pod's age (at the \
                       time). Should be <2. The intent of this metric is to measure the rough efficacy of the \
                       sorting (and deletion) of pods when a replicaset scales down. This only considers Ready \
                       pods when calculating and reporting.",
                labels: &[],
            },
            exponential(0.25, 2.0, 6),
        ))
    }

    /// Pods were chosen for deletion.
    pub fn chosen(&self, ratios: &[f64]) {
        ratios.iter().for_each(|ratio| self.0.observe(&[], *ratio));
    }
}
