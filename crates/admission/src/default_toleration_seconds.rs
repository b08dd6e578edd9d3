//! DefaultTolerationSeconds: a pod stays five minutes on a node that is not
//! ready or unreachable, unless it says otherwise. Mutates pods on create and update.

use apimachinery::{Status, Value, value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

/// How long pods stay, in seconds (kube-apiserver's defaults of
/// `--default-not-ready-toleration-seconds` and its sibling).
const SECONDS: i64 = 300;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Adds the tolerations that are missing.
pub(crate) fn tolerate(pod: &mut Value) {
    for taint in TAINTS {
        let tolerated = pod["spec"]["tolerations"].items().iter().any(|toleration| {
            let key = toleration["key"].text();
            (key.is_empty() || key == taint) && matches!(toleration["effect"].text(), "" | "NoExecute")
        });
        if !tolerated {
            let toleration = value!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS
            });
            push(pod.entry("spec").entry("tolerations"), toleration);
        }
    }
}

/// Appends to a list that may not be there yet.
pub(crate) fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

/// See the module.
pub(crate) struct DefaultTolerationSeconds;

impl AdmissionPlugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "pods") && matches!(admission.operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, _: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        tolerate(object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_tolerated_yet_is_added() {
        for (tolerations, added) in [
            (value!([]), 2),
            (value!([{"operator": "Exists"}]), 0),
            (
                value!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "tolerationSeconds": 9}]),
                1,
            ),
            (value!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]), 2),
            (value!([{"key": "else", "operator": "Exists"}]), 2),
        ] {
            let before = tolerations.items().len();
            let mut pod = value!({"spec": {"tolerations": tolerations}});
            tolerate(&mut pod);
            assert_eq!(pod["spec"]["tolerations"].items().len(), before + added);
            let once = pod.clone();
            tolerate(&mut pod);
            assert_eq!(pod, once);
        }
    }
}
