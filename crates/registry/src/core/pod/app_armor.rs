//! AppArmor profiles by annotation, which came before the field: a new pod's
//! annotations become fields.

use apimachinery::{Value, value};

use super::validation::APP_ARMOR;
use crate::changes::items;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Gives containers the profile that their annotation names, where they have none of their own.
pub(super) fn from_annotations(pod: &mut Value) {
    if is_exempt(pod) {
        return;
    }
    let annotations = pod["metadata"]["annotations"].clone();
    let of_pod = pod["spec"]["securityContext"]["appArmorProfile"].clone();
    for list in LISTS {
        for container in items(pod.entry("spec"), list) {
            let own = &container["securityContext"]["appArmorProfile"];
            let Some(profile) = named(&annotations, container).filter(|_| own.is_null()) else { continue };
            if profile != of_pod {
                container.entry("securityContext").set("appArmorProfile", profile);
            }
        }
    }
}

/// What to say of annotations from which [`from_annotations`] will make fields, or cannot.
pub(super) fn warnings(pod: &Value) -> Vec<String> {
    if is_exempt(pod) {
        return Vec::new();
    }
    let annotations = &pod["metadata"]["annotations"];
    let of_pod = &pod["spec"]["securityContext"]["appArmorProfile"];
    let containers = LISTS.into_iter().flat_map(|list| pod["spec"][list].items());
    containers
        .filter(|container| {
            container["securityContext"]["appArmorProfile"].is_null()
                && !annotations[key(container).as_str()].is_null()
                && named(annotations, container).is_none_or(|profile| profile != *of_pod)
        })
        .map(|container| {
            format!(
                "metadata.annotations[{}]: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                key(container)
            )
        })
        .collect()
}

/// Nothing to do: no such annotation, or a system without AppArmor.
fn is_exempt(pod: &Value) -> bool {
    pod["spec"]["os"]["name"].text() == "windows"
        || !pod["metadata"]["annotations"].members().any(|(name, _)| name.starts_with(APP_ARMOR))
}

fn key(container: &Value) -> String {
    format!("{APP_ARMOR}{}", container["name"].text())
}

/// The profile that the container's annotation names; None where it names none that is valid.
fn named(annotations: &Value, container: &Value) -> Option<Value> {
    match annotations[key(container).as_str()].as_str()? {
        "unconfined" => Some(value!({"type": "Unconfined"})),
        "runtime/default" => Some(value!({"type": "RuntimeDefault"})),
        text => {
            let name =
                text.strip_prefix("localhost/").filter(|name| !name.is_empty() && name.trim() == *name)?;
            Some(value!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotation: &str, context: Value) -> Value {
        let mut pod = value!({"metadata": {"annotations": {}}, "spec": {"containers": [{"name": "c"}]}});
        let key = format!("{APP_ARMOR}c");
        pod.entry("metadata").entry("annotations").set(key, annotation);
        if !context.is_null() {
            items(pod.entry("spec"), "containers")[0].set("securityContext", context);
        }
        pod
    }

    #[test]
    fn annotations_become_fields_with_a_warning() {
        for (annotation, context, profile, warns) in [
            ("unconfined", Value::Null, value!({"type": "Unconfined"}), 1),
            ("localhost/x", Value::Null, value!({"type": "Localhost", "localhostProfile": "x"}), 1),
            ("odd", Value::Null, Value::Null, 1),
            ("localhost/ x", Value::Null, Value::Null, 1),
            (
                "unconfined",
                value!({"appArmorProfile": {"type": "RuntimeDefault"}}),
                value!({"type": "RuntimeDefault"}),
                0,
            ),
        ] {
            let mut pod = pod(annotation, context);
            let told = warnings(&pod).len();
            from_annotations(&mut pod);
            let found = &pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
            assert_eq!((found, told), (&profile, warns), "{annotation}");
        }
    }

    #[test]
    fn the_pods_own_profile_is_not_repeated() {
        let mut pod = pod("runtime/default", Value::Null);
        pod.set_at(&["spec", "securityContext", "appArmorProfile"], value!({"type": "RuntimeDefault"}));
        assert!(warnings(&pod).is_empty());
        from_annotations(&mut pod);
        assert!(pod["spec"]["containers"][0]["securityContext"].is_null());
    }
}
