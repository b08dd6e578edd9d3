//! PodDisruptionBudget.

use apiserver::Strategy;

/// PodDisruptionBudget.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn has_generation(&self) -> bool {
        true
    }
}
