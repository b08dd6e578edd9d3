//! ReplicaSet.

use apimachinery::Value;
use apiserver::Strategy;

use crate::changes::default_template;

/// ReplicaSet.
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_template(object);
    }

    fn has_generation(&self) -> bool {
        true
    }
}
