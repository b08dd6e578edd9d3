//! Priority: the number behind a pod's priority class, and at most one class
//! that is the default.

use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

const GROUP: &str = "scheduling.k8s.io";
const SYSTEM_PREFIX: &str = "system-";

/// See the module.
pub(crate) struct Priority;

impl AdmissionPlugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        match admission.operation {
            Operation::Create | Operation::Update => {
                admission.is_of("", "pods") || admission.is_of(GROUP, "priorityclasses")
            }
            Operation::Delete => admission.is_of(GROUP, "priorityclasses"),
            Operation::Connect => false,
        }
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        if !admission.is_of("", "pods") {
            return Ok(());
        }
        if let Some(old) = admission.old {
            // An update that leaves the numbers out keeps them.
            for field in ["priority", "preemptionPolicy"] {
                if object["spec"][field].is_null() && !old["spec"][field].is_null() {
                    object.entry("spec").set(field, old["spec"][field].clone());
                }
            }
            return Ok(());
        }
        let class = class_of(admission, object)?;
        let computed = class.as_ref().map_or(0, |class| class["value"].as_i64().unwrap_or(0));
        if let Some(given) = object["spec"]["priority"].as_i64()
            && given != computed
        {
            return Err(admission.forbid(
                object,
                format!(
                    "the integer value of priority ({given}) must not be provided in pod spec; priority admission \
                     controller computed {computed} from the given PriorityClass name"
                ),
            ));
        }
        let policy = class.as_ref().map_or("", |class| class["preemptionPolicy"].text());
        let policy = if policy.is_empty() { "PreemptLowerPriority" } else { policy };
        if let Some(given) = object["spec"]["preemptionPolicy"].as_str()
            && given != policy
        {
            return Err(admission.forbid(
                object,
                format!(
                    "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority \
                     admission controller computed {policy} from the given PriorityClass name"
                ),
            ));
        }
        let spec = object.entry("spec");
        if let Some(class) = &class {
            spec.set("priorityClassName", class["metadata"]["name"].text());
        }
        spec.set("priority", computed);
        spec.set("preemptionPolicy", policy);
        Ok(())
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        if !admission.is_of(GROUP, "priorityclasses") {
            return Ok(());
        }
        if admission.operation == Operation::Delete {
            if admission.name.starts_with(SYSTEM_PREFIX) {
                return Err(admission.forbid(object, "this is a system priority class and cannot be deleted"));
            }
            return Ok(());
        }
        if object["globalDefault"].is_true()
            && let Some(other) = default_class(admission)
            && other["metadata"]["name"] != object["metadata"]["name"]
        {
            return Err(admission.forbid(
                object,
                format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    other["metadata"]["name"].text()
                ),
            ));
        }
        Ok(())
    }
}

/// The class that the pod names, or the default one; None where there is neither.
fn class_of(admission: &Admission<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let name = pod["spec"]["priorityClassName"].text();
    if name.is_empty() {
        return Ok(default_class(admission));
    }
    match admission.view.get(GROUP, "priorityclasses", "", name) {
        Some(class) => Ok(Some(class.tree())),
        None => Err(admission.forbid(pod, format!("no PriorityClass with name {name} was found"))),
    }
}

/// Of several defaults the one with the lowest value counts.
fn default_class(admission: &Admission<'_>) -> Option<Value> {
    admission
        .view
        .list(GROUP, "priorityclasses", "")
        // Most classes are no default: look into the bytes first.
        .filter(|class| memmem(class.bytes(), b"\"globalDefault\":true"))
        .map(|class| class.tree())
        .filter(|class| class["globalDefault"].is_true())
        .min_by_key(|class| class["value"].as_i64().unwrap_or(0))
}

fn memmem(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
