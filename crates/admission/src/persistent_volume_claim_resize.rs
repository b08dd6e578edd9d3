//! PersistentVolumeClaimResize: a bound claim grows only where its class
//! allows it. Checks claims on update.

use apimachinery::quantity::Quantity;
use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

/// See the module.
pub(crate) struct PersistentVolumeClaimResize;

fn size(claim: &Value) -> Option<Quantity> {
    Quantity::parse(claim["spec"]["resources"]["requests"]["storage"].text()).ok()
}

impl AdmissionPlugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "persistentvolumeclaims") && admission.operation == Operation::Update
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let Some(old) = admission.old else { return Ok(()) };
        if old["status"]["phase"].text() != "Bound" || size(object) <= size(old) {
            return Ok(());
        }
        let class = object["spec"]["storageClassName"].text();
        let expandable = admission
            .view
            .get("storage.k8s.io", "storageclasses", "", class)
            .is_some_and(|class| class.tree()["allowVolumeExpansion"].is_true());
        if expandable {
            return Ok(());
        }
        Err(admission.forbid(
            object,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
             support resize",
        ))
    }
}
