//! IngressClass.

use apiserver::Strategy;

/// IngressClass.
pub struct IngressClass;

impl Strategy for IngressClass {
    fn has_generation(&self) -> bool {
        true
    }
}
