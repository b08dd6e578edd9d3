//! The kinds of `resource.k8s.io`.

pub mod resource_claim;

use apiserver::Strategy;

/// DeviceClass and ResourceSlice: plain but for their generation.
pub struct Generational;

impl Strategy for Generational {
    fn has_generation(&self) -> bool {
        true
    }
}
