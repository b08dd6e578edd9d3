//! DefaultStorageClass: a claim that names no class gets the default one.
//! Mutates claims on create.

use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// See the module.
pub(crate) struct DefaultStorageClass;

impl AdmissionPlugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "persistentvolumeclaims") && admission.operation == Operation::Create
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let named = !object["spec"]["storageClassName"].is_null()
            || !object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].is_null();
        if named {
            return Ok(());
        }
        let classes = admission.view.list("storage.k8s.io", "storageclasses", "").map(|class| class.tree());
        if let Some(name) = newest_default(classes, DEFAULT) {
            object.entry("spec").set("storageClassName", name);
        }
        Ok(())
    }
}

/// The newest of those that an annotation marks as default; of equally old ones the first by name.
pub(crate) fn newest_default(classes: impl Iterator<Item = Value>, annotation: &str) -> Option<String> {
    let mut marked: Vec<(String, String)> = classes
        .filter(|class| class["metadata"]["annotations"][annotation].text() == "true")
        .map(|class| {
            let metadata = &class["metadata"];
            (metadata["creationTimestamp"].text().to_owned(), metadata["name"].text().to_owned())
        })
        .collect();
    // RFC 3339 in UTC and whole seconds sorts as text.
    marked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    marked.into_iter().next().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn the_newest_default_counts() {
        let class = |name: &str, marked: &str, day: &str| {
            let mut annotations = Value::object();
            annotations.set(DEFAULT, marked);
            value!({"metadata": {"name": name, "annotations": annotations, "creationTimestamp": format!("2026-01-{day}T00:00:00Z")}})
        };
        let classes = [class("old", "true", "01"), class("new", "true", "02"), class("not", "false", "03")];
        assert_eq!(newest_default(classes.into_iter(), DEFAULT).as_deref(), Some("new"));
        let twins = [class("b", "true", "01"), class("a", "true", "01")];
        assert_eq!(newest_default(twins.into_iter(), DEFAULT).as_deref(), Some("a"));
        assert_eq!(newest_default(std::iter::empty(), DEFAULT), None);
    }
}
