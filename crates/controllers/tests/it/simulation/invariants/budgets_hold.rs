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
        let left = pods.iter().filter(|pod| is_ready(pod)).count() as i64;
        if left < KEPT {
            self.0.lock().push(format!("an eviction left {left} of {} ready pods", pods.len()));
        }
    }
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].items().iter();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.any(|one| one["type"].text() == "Ready" && one["status"].text() == "True")
}

pub fn check(world: &World) {
    let broken = world.evictions.0.lock();
    assert!(broken.is_empty(), "budgets were broken: {broken:?}");
}
