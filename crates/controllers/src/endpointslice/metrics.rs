//! What the EndpointSlice controller counts (`endpoint_slice_controller_…`).

use std::collections::BTreeMap;

use informer::ObjectKey;
use k8s_openapi::api::core::v1::Service;
use parking_lot::Mutex;
use serve::families::{Counter, Description, Families, Gauge, Histogram};

use super::hints::distribution;
use super::plan::MOST;
use crate::slices::{Tally, Totals, per_sync};

pub(super) struct Metrics {
    added: Histogram,
    removed: Histogram,
    changed: Histogram,
    syncs: Counter,
    totals: Totals,
    distributions: Mutex<BTreeMap<ObjectKey, String>>,
    by_distribution: Gauge,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let per_sync = |name, help| per_sync(families, name, help);
        let gauge = |name, help| families.gauge(Description { name, help, labels: &[] });
        Self {
            added: per_sync(
                "endpoint_slice_controller_endpoints_added_per_sync",
                "[BETA] Number of endpoints added on each Service sync",
            ),
            removed: per_sync(
                "endpoint_slice_controller_endpoints_removed_per_sync",
                "[BETA] Number of endpoints removed on each Service sync",
            ),
            changed: families.histogram(
                Description {
                    name: "endpoint_slice_controller_endpointslices_changed_per_sync",
                    help: "[ALPHA] Number of EndpointSlices changed on each Service sync",
                    labels: &["topology", "traffic_distribution"],
                },
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            ),
            syncs: families.counter(Description {
                name: "endpoint_slice_controller_syncs",
                help: "[ALPHA] Number of EndpointSlice syncs",
                labels: &["result"],
            }),
            totals: Totals::new(
                MOST,
                gauge("endpoint_slice_controller_endpoints_desired", "[BETA] Number of endpoints desired"),
                gauge("endpoint_slice_controller_num_endpoint_slices", "[BETA] Number of EndpointSlices"),
                gauge(
                    "endpoint_slice_controller_desired_endpoint_slices",
                    "[BETA] Number of EndpointSlices that would exist with perfect endpoint allocation",
                ),
            ),
            distributions: Mutex::default(),
            by_distribution: families.gauge(Description {
                name: "endpoint_slice_controller_services_count_by_traffic_distribution",
                help: "[BETA] Number of Services using some specific trafficDistribution",
                labels: &["traffic_distribution"],
            }),
        }
    }

    /// The counter of writes, by `operation`.
    pub fn changes(families: &Families) -> Counter {
        families.counter(Description {
            name: "endpoint_slice_controller_changes",
            help: "[ALPHA] Number of EndpointSlice changes",
            labels: &["operation"],
        })
    }

    /// A sync ended: `success`, `stale` or `error`.
    pub fn ended(&self, result: &str) {
        self.syncs.increase(&[result]);
    }

    /// What a plan comes to.
    pub fn planned(&self, key: &ObjectKey, service: &Service, tally: &Tally, actions: usize) {
        self.added.observe(&[], tally.added as f64);
        self.removed.observe(&[], tally.removed as f64);
        self.totals.set(key, tally);
        let distribution = distribution(service);
        // Endpoints are not shared out among zones.
        self.changed.observe(&["Disabled", distribution.unwrap_or_default()], actions as f64);
        self.distribute(key, distribution);
    }

    pub fn forget(&self, key: &ObjectKey) {
        self.totals.forget(key);
        self.distribute(key, None);
    }

    fn distribute(&self, key: &ObjectKey, distribution: Option<&str>) {
        let mut all = self.distributions.lock();
        let before = match distribution {
            Some(distribution) => all.insert(key.clone(), distribution.to_owned()),
            None => all.remove(key),
        };
        if before.as_deref() == distribution {
            return;
        }
        for name in before.as_deref().into_iter().chain(distribution) {
            match all.values().filter(|other| *other == name).count() {
                0 => self.by_distribution.remove(&[name]),
                count => self.by_distribution.set(&[name], count as f64),
            }
        }
    }
}
