//! The kinds of `resource.k8s.io`: dynamic allocation of devices.

mod authorization;
pub mod device_class;
pub mod device_taint_rule;
pub mod resource_claim;
pub mod resource_slice;
mod validation;

use apimachinery::{Value, time};
use jiff::Timestamp;

/// A taint begins when nobody says when.
fn date_taint(taint: &mut Value, now: Timestamp) {
    if taint["timeAdded"].is_null() {
        taint.set("timeAdded", time::format(now));
    }
}
