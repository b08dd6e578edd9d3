//! ResourceQuota.

use apiserver::Strategy;

/// ResourceQuota.
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn returns_deleted(&self) -> bool {
        true
    }
}
