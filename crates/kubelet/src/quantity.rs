//! Numbers of resource quantities. What cannot be read counts as 0: the API
//! server has refused it long before.

use apimachinery::quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Whole units, rounded up: bytes, pieces.
pub fn value(quantity: &Quantity) -> i64 {
    quantity::Quantity::parse(&quantity.0).map_or(0, |one| one.value())
}

/// Thousandths, rounded up: milli-CPU.
pub fn milli(quantity: &Quantity) -> i64 {
    quantity::Quantity::parse(&quantity.0).map_or(0, |one| one.milli_value())
}
