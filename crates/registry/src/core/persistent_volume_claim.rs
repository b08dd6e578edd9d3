//! PersistentVolumeClaim.

use apimachinery::{Value, value};
use apiserver::{Context, Strategy};

/// PersistentVolumeClaim.
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object.set("status", value!({"phase": "Pending"}));
        share_data_source(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        share_data_source(object);
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// `dataSource` and `dataSourceRef` say the same, where one of them is left
/// out and no other namespace is meant.
fn share_data_source(object: &mut Value) {
    let spec = object.entry("spec");
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    match (source.is_null(), reference.is_null()) {
        (false, true) => spec.set("dataSourceRef", source),
        (true, false) if reference["namespace"].text().is_empty() => {
            let mut source = reference;
            source.remove("namespace");
            spec.set("dataSource", source);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sources_agree_within_the_namespace() {
        let claim = value!({"kind": "PersistentVolumeClaim", "name": "a"});
        let mut object = value!({"spec": {"dataSource": claim.clone()}});
        share_data_source(&mut object);
        assert_eq!(object["spec"]["dataSourceRef"], claim);
        let mut object = value!({"spec": {"dataSourceRef": claim.clone()}});
        share_data_source(&mut object);
        assert_eq!(object["spec"]["dataSource"], claim);
        let mut object = value!({"spec": {"dataSourceRef": {"name": "a", "namespace": "other"}}});
        share_data_source(&mut object);
        assert!(object["spec"]["dataSource"].is_null());
    }
}
