//! ServiceCIDR: a range of service addresses.

use apiserver::Strategy;

/// ServiceCIDR.
pub struct ServiceCidr;

impl Strategy for ServiceCidr {}
