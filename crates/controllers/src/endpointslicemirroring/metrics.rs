//! What the mirroring controller counts
//! (`endpoint_slice_mirroring_controller_…`).

use informer::ObjectKey;
use serve::families::{Counter, Description, Families, Histogram, exponential};
use tokio::time::Instant;

use super::plan::MOST;
use crate::slices::{Tally, Totals, per_sync};

pub(super) struct Metrics {
    added: Histogram,
    updated: Histogram,
    removed: Histogram,
    skipped: Histogram,
    seconds: Histogram,
    totals: Totals,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let per_sync = |name, help| per_sync(families, name, help);
        let gauge = |name, help| families.gauge(Description { name, help, labels: &[] });
        Self {
            added: per_sync(
                "endpoint_slice_mirroring_controller_endpoints_added_per_sync",
                "[ALPHA] Number of endpoints added on each Endpoints sync",
            ),
            updated: per_sync(
                "endpoint_slice_mirroring_controller_endpoints_updated_per_sync",
                "[ALPHA] Number of endpoints updated on each Endpoints sync",
            ),
            removed: per_sync(
                "endpoint_slice_mirroring_controller_endpoints_removed_per_sync",
                "[ALPHA] Number of endpoints removed on each Endpoints sync",
            ),
            skipped: per_sync(
                "endpoint_slice_mirroring_controller_addresses_skipped_per_sync",
                "[ALPHA] Number of addresses skipped on each Endpoints sync due to being invalid or exceeding \
                 MaxEndpointsPerSubset",
            ),
            seconds: families.histogram(
                Description {
                    name: "endpoint_slice_mirroring_controller_endpoints_sync_duration",
                    help: "[ALPHA] Duration of syncEndpoints() in seconds",
                    labels: &[],
                },
                exponential(0.001, 2.0, 15),
            ),
            totals: Totals::new(
                MOST,
                gauge(
                    "endpoint_slice_mirroring_controller_endpoints_desired",
                    "[ALPHA] Number of endpoints desired",
                ),
                gauge(
                    "endpoint_slice_mirroring_controller_num_endpoint_slices",
                    "[ALPHA] Number of EndpointSlices",
                ),
                gauge(
                    "endpoint_slice_mirroring_controller_desired_endpoint_slices",
                    "[ALPHA] Number of EndpointSlices that would exist with perfect endpoint allocation",
                ),
            ),
        }
    }

    /// The counter of writes, by `operation`.
    pub fn changes(families: &Families) -> Counter {
        families.counter(Description {
            name: "endpoint_slice_mirroring_controller_changes",
            help: "[ALPHA] Number of EndpointSlice changes",
            labels: &["operation"],
        })
    }

    /// A sync that began at `since`.
    pub fn ended(&self, since: Instant) {
        self.seconds.observe(&[], since.elapsed().as_secs_f64());
    }

    /// What a plan comes to, and how many addresses it leaves out.
    pub fn planned(&self, key: &ObjectKey, tally: &Tally, skipped: usize) {
        self.added.observe(&[], tally.added as f64);
        self.updated.observe(&[], tally.updated as f64);
        self.removed.observe(&[], tally.removed as f64);
        self.skipped.observe(&[], skipped as f64);
        self.totals.set(key, tally);
    }

    pub fn forget(&self, key: &ObjectKey) {
        self.totals.forget(key);
    }
}
