//! The objects without which flow control cannot work: their specs are fixed.

use std::sync::OnceLock;

use api::facts;
use apimachinery::{Value, meta};

/// Objects that are mandatory, of both kinds; the others may be changed.
const NAMES: [&str; 2] = ["exempt", "catch-all"];

/// The fixed spec of the object `name` of `resource`, where it is mandatory.
pub(super) fn spec(resource: &str, name: &str) -> Option<&'static Value> {
    static SPECS: OnceLock<Vec<(String, String, Value)>> = OnceLock::new();
    let specs = SPECS.get_or_init(|| {
        let own = |path: &str| path.starts_with("/apis/flowcontrol.apiserver.k8s.io/");
        facts::bootstrap_objects()
            .into_iter()
            .filter(|(path, _)| own(path))
            .flat_map(|(path, objects)| {
                let resource = path.rsplit('/').next().unwrap_or("").to_owned();
                objects.into_iter().map(move |object| {
                    (resource.clone(), meta::name(&object).to_owned(), object["spec"].clone())
                })
            })
            .filter(|(_, name, _)| NAMES.contains(&name.as_str()))
            .collect()
    });
    let found = specs.iter().find(|(kind, object, _)| kind == resource && object == name)?;
    Some(&found.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_have_two() {
        for resource in ["flowschemas", "prioritylevelconfigurations"] {
            for name in NAMES {
                assert!(spec(resource, name).is_some_and(|spec| !spec.is_null()), "{resource} {name}");
            }
            assert!(spec(resource, "workload-low").is_none());
        }
    }
}
