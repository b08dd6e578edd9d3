//! StorageObjectInUseProtection: volumes, claims and volume attributes classes
//! stay while something uses them. Mutates them on create with a finalizer.

use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

use crate::default_toleration_seconds::push;

/// See the module.
pub(crate) struct StorageObjectInUseProtection;

/// The finalizer of a resource that is protected.
fn finalizer(admission: &Admission<'_>) -> Option<&'static str> {
    match (&*admission.definition.group, &*admission.definition.resource) {
        ("", "persistentvolumes") => Some("kubernetes.io/pv-protection"),
        ("", "persistentvolumeclaims") => Some("kubernetes.io/pvc-protection"),
        ("storage.k8s.io", "volumeattributesclasses") => Some("kubernetes.io/vac-protection"),
        _ => None,
    }
}

impl AdmissionPlugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.operation == Operation::Create
            && admission.subresource.is_empty()
            && finalizer(admission).is_some()
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let Some(finalizer) = finalizer(admission) else { return Ok(()) };
        let finalizers = object.entry("metadata").entry("finalizers");
        if !finalizers.items().iter().any(|name| name.text() == finalizer) {
            push(finalizers, finalizer.into());
        }
        Ok(())
    }
}
