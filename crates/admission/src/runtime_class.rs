//! RuntimeClass: a pod takes over the overhead and the scheduling rules of its
//! runtime class. Mutates and checks pods on create.

use apimachinery::quantity::Quantity;
use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

/// See the module.
pub(crate) struct RuntimeClass;

impl AdmissionPlugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "pods") && admission.operation == Operation::Create
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        let Some(class) = class_of(admission, object)? else { return Ok(()) };
        apply(object, &class).map_err(|why| admission.forbid(object, why))
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let class = class_of(admission, object)?;
        let defined =
            class.as_ref().map_or(&apimachinery::value::NULL, |class| &class["overhead"]["podFixed"]);
        let given = &object["spec"]["overhead"];
        if given.members().next().is_some() && defined.is_null() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(admission.forbid(object, why));
        }
        if !same_amounts(given, defined) {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(admission.forbid(object, why));
        }
        Ok(())
    }
}

fn class_of(admission: &Admission<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    if let Some(why) = crate::unaskable(name) {
        return Err(Status::unknown(why));
    }
    match admission.view.get("node.k8s.io", "runtimeclasses", "", name) {
        Some(class) => Ok(Some(class.tree())),
        None => Err(admission.forbid(pod, format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}

/// Gives the pod what its class says; the error is why the two do not fit.
fn apply(pod: &mut Value, class: &Value) -> Result<(), String> {
    let overhead = &class["overhead"]["podFixed"];
    if !overhead.is_null() {
        if pod["spec"]["overhead"].members().next().is_none() {
            pod.entry("spec").set("overhead", overhead.clone());
        } else if !same_amounts(&pod["spec"]["overhead"], overhead) {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".into());
        }
    }
    for (key, value) in class["scheduling"]["nodeSelector"].members() {
        let own = pod["spec"]["nodeSelector"][key].as_str().map(str::to_owned);
        match own {
            Some(own) if own != value.text() => {
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {own}",
                    value.text()
                ));
            }
            Some(_) => {}
            None => pod.entry("spec").entry("nodeSelector").set(key.to_owned(), value.clone()),
        }
    }
    if !class["scheduling"].is_null() {
        let (own, more) = (&pod["spec"]["tolerations"], &class["scheduling"]["tolerations"]);
        let merged = merge(own.items().iter().chain(more.items()).collect());
        if own.items() != merged.as_slice() {
            pod.entry("spec").set("tolerations", merged);
        }
    }
    Ok(())
}

/// Tolerations without those that another tolerates too.
fn merge(all: Vec<&Value>) -> Vec<Value> {
    let mut merged: Vec<&Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let mut later = all[at + 1..].iter();
        if !merged.iter().any(|other| covers(other, toleration))
            && !later.any(|other| other != toleration && covers(other, toleration))
        {
            merged.push(toleration);
        }
    }
    merged.into_iter().cloned().collect()
}

/// Whether `wide` tolerates whatever `toleration` does.
fn covers(wide: &Value, toleration: &Value) -> bool {
    let same = |field: &str| wide[field].text() == toleration[field].text();
    let says = |field: &str| !wide[field].text().is_empty();
    if wide == toleration {
        return true;
    }
    // No key with Exists is any key, and no effect is any effect.
    let is_any_key = !says("key") && wide["operator"].text() == "Exists";
    let is_key_covered = same("key") || is_any_key;
    let is_effect_covered = same("effect") || !says("effect");
    if !is_key_covered || !is_effect_covered {
        return false;
    }
    if wide["effect"].text() == "NoExecute"
        && let Some(seconds) = wide["tolerationSeconds"].as_i64()
        && toleration["tolerationSeconds"].as_i64().is_none_or(|other| other > seconds)
    {
        return false;
    }
    match wide["operator"].text() {
        "" | "Equal" => toleration["operator"].text() == "Equal" && same("value"),
        operator => operator == "Exists",
    }
}

fn same_amounts(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| Quantity::parse(value.text()).ok();
    one.members().count() == other.members().count()
        && one.members().all(|(name, value)| amount(value) == amount(&other[name]))
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn tolerations_that_others_cover_go() {
        let any = value!({"operator": "Exists"});
        let ready =
            value!({"key": "r", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        let longer = value!({"key": "r", "operator": "Exists", "effect": "NoExecute"});
        let equal = value!({"key": "k", "operator": "Equal", "value": "v"});
        let plain = value!({"key": "k", "value": "v"});
        let cases = [
            (vec![&ready, &any], vec![&any]),
            (vec![&any, &ready], vec![&any]),
            (vec![&ready, &longer], vec![&longer]),
            (vec![&ready, &ready], vec![&ready]),
            (vec![&equal, &plain], vec![&plain]),
            (vec![&plain, &equal], vec![&plain]),
            (vec![&ready, &equal], vec![&ready, &equal]),
        ];
        for (all, kept) in cases {
            let said = format!("{all:?}");
            assert_eq!(merge(all).iter().collect::<Vec<_>>(), kept, "{said}");
        }
    }

    #[test]
    fn a_class_gives_overhead_and_rules() {
        let class = value!({
            "overhead": {"podFixed": {"cpu": "100m"}},
            "scheduling": {"nodeSelector": {"kvm": "y"}, "tolerations": [{"key": "kvm"}]}
        });
        let mut pod = value!({"spec": {"nodeSelector": {"a": "b"}}});
        apply(&mut pod, &class).expect("applied");
        apply(&mut pod, &class).expect("a second time");
        assert_eq!(
            pod["spec"],
            value!({"nodeSelector": {"a": "b", "kvm": "y"}, "overhead": {"cpu": "100m"}, "tolerations": [{"key": "kvm"}]})
        );
        let mut other = value!({"spec": {"nodeSelector": {"kvm": "n"}}});
        assert_eq!(
            apply(&mut other, &class).unwrap_err(),
            "conflict: runtimeClass.scheduling.nodeSelector[kvm] = y; pod.spec.nodeSelector[kvm] = n"
        );
    }

    #[test]
    fn amounts_are_compared_by_value() {
        assert!(same_amounts(&value!({"cpu": "1"}), &value!({"cpu": "1000m"})));
        assert!(!same_amounts(&value!({"cpu": "1"}), &value!({})));
    }
}
