//! Ingress.

use apiserver::Strategy;

/// Ingress.
pub struct Ingress;

impl Strategy for Ingress {
    fn has_generation(&self) -> bool {
        true
    }
}
