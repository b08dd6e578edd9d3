//! StatefulSet.

use apimachinery::Value;
use apiserver::Strategy;

use crate::changes::{default_rolling_update, default_struct, default_template, items};

/// StatefulSet.
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, _: &str, object: &mut Value) {
        default_rolling_update(object, "updateStrategy");
        default_template(object);
        let spec = object.entry("spec");
        default_struct(spec, "persistentVolumeClaimRetentionPolicy");
        for claim in items(spec, "volumeClaimTemplates") {
            claim.set("kind", "PersistentVolumeClaim");
            claim.set("apiVersion", "v1");
            default_struct(claim, "status");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }
}
