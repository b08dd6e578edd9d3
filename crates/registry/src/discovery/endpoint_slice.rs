//! EndpointSlice.

use apiserver::Strategy;

/// EndpointSlice.
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn has_generation(&self) -> bool {
        true
    }
}
