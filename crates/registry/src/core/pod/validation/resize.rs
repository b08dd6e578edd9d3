//! What the subresource `resize` may change: cpu and memory of containers and
//! of the pod as a whole.

use apimachinery::field::{Errors, Path};
use apimachinery::{Object, Value};

use super::super::defaults;
use super::annotations::MIRROR;
use crate::rules::resources::amount;

const ONLY: &str = "only cpu and memory resources are mutable";
const ONLY_OF_INIT: &str = "only cpu and memory resources for init or sidecar containers are mutable";

/// Everything of a pod that is resized but its metadata.
pub fn resize(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let root = Path::Root.key("");
    if !old["metadata"]["annotations"][MIRROR].is_null() {
        errors.forbidden(&root, "static pods cannot be resized");
        return errors;
    }
    if old["spec"]["os"]["name"].text() == "windows" {
        errors.forbidden(&root, "windows pods cannot be resized");
        return errors;
    }
    super::pod::metadata_and_spec(pod, &mut errors);
    let path = Path::Root.child("spec");
    let class = match old["status"]["qosClass"].text() {
        "" => defaults::qos_class(&old["spec"]).to_owned(),
        class => class.to_owned(),
    };
    if defaults::qos_class(&pod["spec"]) != class {
        errors.invalid(&path, class.as_str(), "Pod QOS Class may not change as a result of resizing");
    }
    if !is_supported(old) {
        errors.forbidden(&path, "Pod running on node without support for resize");
    }
    let (spec, before) = (&pod["spec"], &old["spec"]);
    pod_level(&spec["resources"], &before["resources"], &path, &mut errors);
    // What follows compares containers by their places.
    let moved = moved(spec, before);
    if !moved.is_empty() {
        errors.append(moved);
        return errors;
    }
    for list in ["initContainers", "containers"] {
        let field = path.child(list);
        for (at, (new, old)) in spec[list].items().iter().zip(before[list].items()).enumerate() {
            let here = field.index(at);
            nothing_removed(&new["resources"], &old["resources"], &here.child("resources"), &mut errors);
        }
    }
    for (new, old) in spec["containers"].items().iter().zip(before["containers"].items()) {
        if without_cpu_and_memory(new, old) != *old {
            errors.forbidden(&path, ONLY);
        }
    }
    let field = path.child("initContainers");
    let pairs = spec["initContainers"].items().iter().zip(before["initContainers"].items());
    for (at, (new, old)) in pairs.enumerate() {
        if without_cpu_and_memory(new, old) != *old {
            errors.forbidden(&field.index(at), ONLY_OF_INIT);
        }
    }
    if errors.is_empty() && !rest_is_same(spec, before) {
        errors.forbidden(&path, ONLY);
    }
    errors
}

/// Containers that came, went or changed their places.
fn moved(spec: &Value, before: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    for list in ["containers", "initContainers"] {
        let (new, old) = (spec[list].items(), before[list].items());
        let here = path.child(list);
        if new.len() != old.len() {
            errors.forbidden(&here, &format!("{list} may not be added or removed on resize"));
            continue;
        }
        for (at, (new, old)) in new.iter().zip(old).enumerate() {
            if new["name"] != old["name"] {
                let why = format!("{list} may not be renamed or reordered on resize");
                errors.forbidden(&here.index(at).child("name"), &why);
            }
        }
    }
    errors
}

/// Amounts of the pod as a whole: cpu and memory change, and nothing goes.
fn pod_level(new: &Value, old: &Value, spec: &Path<'_>, errors: &mut Errors) {
    let path = spec.child("resources");
    let is_set =
        |own: &Value| ["requests", "limits"].iter().any(|field| own[*field].members().next().is_some());
    if !is_set(new) && !is_set(old) {
        return;
    }
    if !old.is_null() && new.is_null() {
        errors.forbidden(&path, "pod-level resources cannot be removed");
        return;
    }
    for field in ["requests", "limits"] {
        if old[field].members().any(|(name, _)| new[field][name].is_null()) {
            let why = format!("pod-level resource {field} cannot be removed");
            errors.forbidden(&path.child(field), &why);
        }
    }
    if !only_cpu_and_memory(new, old) {
        errors.forbidden(spec, "only cpu and memory resources are mutable at pod-level");
    }
}

/// Whether no amount but cpu and memory differs.
fn only_cpu_and_memory(new: &Value, old: &Value) -> bool {
    ["requests", "limits"].iter().all(|field| {
        let (new, old) = (&new[*field], &old[*field]);
        let mut names = new.members().chain(old.members()).map(|(name, _)| name);
        names.all(|name| matches!(name, "cpu" | "memory") || amount(&new[name]) == amount(&old[name]))
    })
}

/// A node that tells of the resources of what runs can change them.
fn is_supported(pod: &Value) -> bool {
    pod["status"]["containerStatuses"]
        .items()
        .iter()
        .find(|status| !status["state"]["running"].is_null())
        .is_none_or(|status| !status["resources"].is_null())
}

/// Requests and limits change, and do not go.
fn nothing_removed(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (field, why) in
        [("requests", "resource requests cannot be removed"), ("limits", "resource limits cannot be removed")]
    {
        if old[field].members().any(|(name, _)| new[field][name].is_null()) {
            errors.forbidden(&path.child(field), why);
        }
    }
}

/// The new container with cpu and memory, and its policies for them, as they were.
fn without_cpu_and_memory(new: &Value, old: &Value) -> Value {
    let mut munged = new.clone();
    crate::changes::keep(&mut munged, old, "resizePolicy");
    for field in ["requests", "limits"] {
        let mut amounts = Object::new();
        for (name, value) in munged["resources"][field].members() {
            if !matches!(name, "cpu" | "memory") {
                amounts.insert(name.to_owned(), value.clone());
            }
        }
        for name in ["cpu", "memory"] {
            let was = &old["resources"][field][name];
            if !was.is_null() {
                amounts.insert(name, was.clone());
            }
        }
        if amounts.is_empty() {
            if let Some(resources) = munged.get_mut("resources") {
                resources.remove(field);
            }
        } else {
            munged.entry("resources").set(field, amounts);
        }
    }
    munged
}

/// Whether nothing outside of containers differs, the pod's own amounts apart.
fn rest_is_same(new: &Value, old: &Value) -> bool {
    let apart = |name: &str| matches!(name, "containers" | "initContainers" | "resources");
    let differs =
        |one: &Value, other: &Value| one.members().any(|(name, value)| !apart(name) && other[name] != *value);
    // None and no amounts are not the same.
    let unset =
        ["requests", "limits"].iter().all(|field| new["resources"][*field].members().next().is_none());
    let same_resources = !unset || new["resources"].is_null() == old["resources"].is_null();
    !differs(new, old) && !differs(old, new) && same_resources
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn resizing_is_about_cpu_and_memory() {
        let container = |requests: Value| value!({"name": "c", "resources": {"requests": requests}});
        let before = container(value!({"cpu": "1"}));
        let now = container(value!({"cpu": "2", "memory": "1Gi"}));
        assert_eq!(without_cpu_and_memory(&now, &before), before);
        let other = container(value!({"cpu": "1", "ephemeral-storage": "1Gi"}));
        assert_ne!(without_cpu_and_memory(&other, &before), before);
    }

    #[test]
    fn containers_keep_their_places() {
        let spec = |names: &[&str], init: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| value!({"name": *name})).collect::<Vec<_>>();
            value!({"containers": list(names), "initContainers": list(init)})
        };
        let before = spec(&["a", "b"], &[]);
        let cases = [
            (spec(&["a", "b"], &[]), ""),
            (
                spec(&["a"], &[]),
                "spec.containers: Forbidden: containers may not be added or removed on resize",
            ),
            (
                spec(&["a", "c"], &[]),
                "spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize",
            ),
            (
                spec(&["a", "b"], &["i"]),
                "spec.initContainers: Forbidden: initContainers may not be added or removed on resize",
            ),
        ];
        for (after, why) in cases {
            let found = moved(&after, &before);
            assert_eq!(if found.is_empty() { String::new() } else { found.to_string() }, why);
        }
    }

    #[test]
    fn the_pod_as_a_whole_changes_by_cpu_and_memory() {
        let told = |new: Value, old: Value| {
            let mut errors = Errors::new();
            pod_level(&new, &old, &Path::Root.child("spec"), &mut errors);
            errors.len()
        };
        let cpu = |amount: &str| value!({"requests": {"cpu": amount}});
        assert_eq!(told(cpu("2"), cpu("1")), 0);
        assert_eq!(told(cpu("2"), Value::Null), 0);
        assert_eq!(told(Value::Null, cpu("1")), 1);
        assert_eq!(told(value!({"requests": {"storage": "1Gi"}}), Value::Null), 1);
    }

    #[test]
    fn what_was_asked_for_stays_asked_for() {
        let mut errors = Errors::new();
        let old = value!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}});
        nothing_removed(&value!({"requests": {"memory": "1"}}), &old, &Path::Root.child("r"), &mut errors);
        assert_eq!(
            errors.to_string(),
            "[r.requests: Forbidden: resource requests cannot be removed, r.limits: Forbidden: resource limits cannot be \
             removed]"
        );
    }
}
