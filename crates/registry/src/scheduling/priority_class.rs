//! PriorityClass.

use apiserver::Strategy;

/// PriorityClass.
pub struct PriorityClass;

impl Strategy for PriorityClass {
    fn has_generation(&self) -> bool {
        true
    }
}
