//! What the controllers that evict pods for taints share: how a pod goes, and
//! what is counted.

use apimachinery::value;
use client::{Api, DeleteOptions, Error, Patch};
use edge::Edge;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serve::families::{Counter, Description, Families, Histogram};

/// Tells a pod why it is disrupted, and deletes it. False where it is gone.
pub async fn disrupt(
    api: &Api<Pod>,
    edge: &Edge,
    (name, uid): (&str, &str),
    (reason, message): (&str, &str),
) -> Result<bool, Error> {
    let now = edge.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = value!({
        "metadata": {"uid": uid},
        "status": {"conditions": [{
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now
        }]}
    });
    let result = match api.patch_status(name, Patch::strategic(patch)).await {
        Ok(_) => api.delete(name, DeleteOptions::uid(uid)).await,
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.is_not_found() => Ok(false),
        other => other.map(|()| true),
    }
}

pub struct Metrics {
    total: Counter,
    seconds: Histogram,
}

impl Metrics {
    /// Name and help of both families.
    pub fn among(families: &Families, total: [&'static str; 2], seconds: [&'static str; 2]) -> Self {
        let of = |[name, help]: [&'static str; 2]| Description { name, help, labels: &[] };
        let bounds = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 180.0, 240.0];
        Self { total: families.counter(of(total)), seconds: families.histogram(of(seconds), bounds.to_vec()) }
    }

    /// A pod was deleted that had to go at `due`.
    pub fn deleted(&self, due: Timestamp, now: Timestamp) {
        self.total.increase(&[]);
        self.seconds.observe(&[], now.duration_since(due).as_secs_f64().max(0.0));
    }
}
