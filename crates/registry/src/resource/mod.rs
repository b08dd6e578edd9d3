//! The kinds of `resource.k8s.io`: dynamic allocation of devices.

pub mod device_class;
pub mod device_taint_rule;
pub mod resource_claim;
pub mod resource_slice;
mod validation;

use apimachinery::{Value, time};
use apiserver::Context;

/// Writes when a taint began: now, unless `old` is the same taint.
fn date_taint(taint: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    let same = |old: &&Value| ["key", "value", "effect"].iter().all(|field| old[*field] == taint[*field]);
    if !taint["timeAdded"].is_null() {
        return;
    }
    match old.filter(same).map(|old| old["timeAdded"].clone()) {
        Some(moment) if !moment.is_null() => taint.set("timeAdded", moment),
        _ => taint.set("timeAdded", time::format(context.now)),
    }
}
