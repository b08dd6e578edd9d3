//! PersistentVolume.

use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

/// PersistentVolume.
pub struct PersistentVolume;

impl Strategy for PersistentVolume {
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        let now = apimachinery::time::format(context.now);
        object.set("status", value!({"phase": "Pending", "lastPhaseTransitionTime": now}));
    }

    /// The time of the last change of phase is written here unless the writer did.
    fn prepare_status(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        let changed = object["status"]["phase"] != old["status"]["phase"];
        let told = &object["status"]["lastPhaseTransitionTime"];
        if changed && (told.is_null() || *told == old["status"]["lastPhaseTransitionTime"]) {
            let now = apimachinery::time::format(context.now);
            object.entry("status").set("lastPhaseTransitionTime", now);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::volume(object, now)
    }
}
