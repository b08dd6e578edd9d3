//! What the autoscaler counts (`horizontal_pod_autoscaler_controller_…`).

use std::time::Duration;

use informer::{Informer, ObjectKey, Whole};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serve::families::{Counter, Description, Families, Gauge, Histogram, exponential};

use super::plan::Computed;

pub(super) struct Metrics {
    total: Counter,
    seconds: Histogram,
    computed: Counter,
    computed_seconds: Histogram,
    desired: Gauge,
}

impl Metrics {
    /// Counts `autoscalers` too, when somebody asks.
    pub fn among(families: &Families, autoscalers: Informer<Whole<HorizontalPodAutoscaler>>) -> Self {
        families.counted(
            Description {
                name: "horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers",
                help: "[ALPHA] Current number of controlled HPA objects.",
                labels: &[],
            },
            move || vec![(Vec::new(), autoscalers.list().len() as f64)],
        );
        let bounds = exponential(0.001, 2.0, 15);
        Self {
            total: families.counter(Description {
                name: "horizontal_pod_autoscaler_controller_reconciliations_total",
                help: "[BETA] Number of reconciliations of HPA controller. The label 'action' should be either \
                       'scale_down', 'scale_up', or 'none'. Also, the label 'error' should be either 'spec', \
                       'internal', or 'none'. Note that if both spec and internal errors happen during a \
                       reconciliation, the first one to occur is reported in `error` label.",
                labels: &["action", "error"],
            }),
            seconds: families.histogram(
                Description {
                    name: "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
                    help: "[BETA] The time(seconds) that the HPA controller takes to reconcile once. The label \
                           'action' should be either 'scale_down', 'scale_up', or 'none'. Also, the label \
                           'error' should be either 'spec', 'internal', or 'none'. Note that if both spec and \
                           internal errors happen during a reconciliation, the first one to occur is reported \
                           in `error` label.",
                    labels: &["action", "error"],
                },
                bounds.clone(),
            ),
            computed: families.counter(Description {
                name: "horizontal_pod_autoscaler_controller_metric_computation_total",
                help: "[BETA] Number of metric computations. The label 'action' should be either 'scale_down', \
                       'scale_up', or 'none'. Also, the label 'error' should be either 'spec', 'internal', or \
                       'none'. The label 'metric_type' corresponds to HPA.spec.metrics[*].type",
                labels: &["action", "error", "metric_type"],
            }),
            computed_seconds: families.histogram(
                Description {
                    name: "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
                    help: "[BETA] The time(seconds) that the HPA controller takes to calculate one metric. The \
                           label 'action' should be either 'scale_down', 'scale_up', or 'none'. The label \
                           'error' should be either 'spec', 'internal', or 'none'. The label 'metric_type' \
                           corresponds to HPA.spec.metrics[*].type",
                    labels: &["action", "error", "metric_type"],
                },
                bounds,
            ),
            desired: families.gauge(Description {
                name: "horizontal_pod_autoscaler_controller_desired_replicas",
                help: "[ALPHA] Current desired replica count for HPA objects.",
                labels: &["namespace", "hpa_name"],
            }),
        }
    }

    /// A reconcile ended.
    pub fn reconciled(&self, (action, error): (&str, &str), took: Duration) {
        self.total.increase(&[action, error]);
        self.seconds.observe(&[action, error], took.as_secs_f64());
    }

    /// A metric was read and reckoned with, or not.
    pub fn computed(&self, computed: &Computed, took: Duration) {
        let labels = [computed.action, computed.error, computed.metric.as_str()];
        self.computed.increase(&labels);
        self.computed_seconds.observe(&labels, took.as_secs_f64());
    }

    pub fn desired(&self, key: &ObjectKey, replicas: i32) {
        self.desired.set(&[&key.namespace, &key.name], replicas.into());
    }

    pub fn forget(&self, key: &ObjectKey) {
        self.desired.remove(&[&key.namespace, &key.name]);
    }
}

/// What brings a target from one size to another.
pub fn action(from: i32, to: i32) -> &'static str {
    match to.cmp(&from) {
        std::cmp::Ordering::Greater => "scale_up",
        std::cmp::Ordering::Less => "scale_down",
        std::cmp::Ordering::Equal => "none",
    }
}
