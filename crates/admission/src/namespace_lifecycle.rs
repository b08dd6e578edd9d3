//! NamespaceLifecycle: nothing is written into a namespace that is not there
//! or is ending, and some namespaces never end.

use apimachinery::status::{Cause, Details, GroupResource};
use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// See the module.
pub(crate) struct NamespaceLifecycle;

impl AdmissionPlugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        matches!(admission.operation, Operation::Create | Operation::Update | Operation::Delete)
            && !admission.namespace.is_empty()
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let definition = admission.definition;
        if definition.group.is_empty() && definition.resource == "namespaces" {
            if admission.operation == Operation::Delete && IMMORTAL.contains(&admission.name) {
                return Err(admission.forbid(object, "this namespace may not be deleted"));
            }
            return Ok(());
        }
        // What is in a namespace can always go, and rights can always be asked for.
        if admission.operation == Operation::Delete || definition.resource == "localsubjectaccessreviews" {
            return Ok(());
        }
        let Some(namespace) = admission.view.get("", "namespaces", "", admission.namespace) else {
            let resource = GroupResource { group: "", resource: "namespaces" };
            return Err(Status::not_found(resource, admission.namespace));
        };
        if admission.operation == Operation::Create && namespace.is_terminating() {
            return Err(ending(admission, object));
        }
        Ok(())
    }
}

fn ending(admission: &Admission<'_>, object: &Value) -> Status {
    let namespace = admission.namespace;
    let mut status = admission.forbid(
        object,
        format!("unable to create new content in namespace {namespace} because it is being terminated"),
    );
    status.details.get_or_insert_with(Details::default).causes.push(Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".into(),
    });
    status
}
