//! No budget is broken by an eviction that the API granted.

use apimachinery::Value;
use parking_lot::Mutex;

use crate::simulation::world::{KEPT, World};

/// What the granted evictions left, where that was too little.
#[derive(Default)]
pub struct Evictions(Mutex<Vec<String>>);

impl Evictions {
    /// The eviction of a pod was granted, and these are the pods of the budget.
    pub fn note(&self, evicted: &Value, pods: &[Value]) {
        // One that has not started yet, or is gone already, is no loss.
        if !is_ready(evicted) {
            return;
        }
        // A node that falls silent makes pods unready as well, which no eviction
        // granted: the budget hears of that afterwards, as upstream's does.
        let left = pods.iter().filter(|pod| is_running(pod)).count() as i64;
        if left < KEPT {
            self.0.lock().push(format!("an eviction left {left} of {} running pods", pods.len()));
        }
    }
}

/// Whether its kubelet said so last, and nobody asked for its end.
fn is_running(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"].text() == "Running"
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].items().iter();
    is_running(pod) && conditions.any(|one| one["type"].text() == "Ready" && one["status"].text() == "True")
}

pub fn check(world: &World) {
    let broken = world.evictions.0.lock();
    assert!(broken.is_empty(), "budgets were broken: {broken:?}");
}
