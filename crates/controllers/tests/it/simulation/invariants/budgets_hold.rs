//! No budget is broken by an eviction that the API granted.

use apimachinery::Value;
use parking_lot::Mutex;

use crate::simulation::world::{KEPT, World};

/// What the granted evictions left, where that was too little.
#[derive(Default)]
pub struct Evictions(Mutex<Vec<String>>);

impl Evictions {
    /// An eviction was granted, and these are the pods of the budget.
    pub fn note(&self, pods: &[Value]) {
        let is_ready = |pod: &&Value| {
            let conditions = pod["status"]["conditions"].items().iter();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions
                    .clone()
                    .any(|one| one["type"].text() == "Ready" && one["status"].text() == "True")
        };
        let left = pods.iter().filter(is_ready).count() as i64;
        if left < KEPT {
            self.0.lock().push(format!("an eviction left {left} of {} ready pods", pods.len()));
        }
    }
}

pub fn check(world: &World) {
    let broken = world.evictions.0.lock();
    assert!(broken.is_empty(), "budgets were broken: {broken:?}");
}
