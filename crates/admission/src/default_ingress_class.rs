//! DefaultIngressClass: an ingress that names no class gets the default one.
//! Mutates ingresses on create.

use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

use crate::default_storage_class::newest_default;

const GROUP: &str = "networking.k8s.io";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const LEGACY: &str = "kubernetes.io/ingress.class";

/// See the module.
pub(crate) struct DefaultIngressClass;

impl AdmissionPlugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of(GROUP, "ingresses") && admission.operation == Operation::Create
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let named = !object["spec"]["ingressClassName"].is_null()
            || !object["metadata"]["annotations"][LEGACY].is_null();
        if named {
            return Ok(());
        }
        let classes = admission.view.list(GROUP, "ingressclasses", "").map(|class| class.tree());
        if let Some(name) = newest_default(classes, DEFAULT) {
            object.entry("spec").set("ingressClassName", name);
        }
        Ok(())
    }
}
