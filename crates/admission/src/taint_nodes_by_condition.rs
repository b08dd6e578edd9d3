//! TaintNodesByCondition: a new node takes no pods until it is ready. Mutates
//! nodes on create.

use apimachinery::{Status, Value, value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

use crate::default_toleration_seconds::push;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Adds the taint where it is missing.
pub(crate) fn taint(node: &mut Value) {
    let tainted = node["spec"]["taints"]
        .items()
        .iter()
        .any(|taint| taint["key"].text() == NOT_READY && taint["effect"].text() == "NoSchedule");
    if !tainted {
        push(node.entry("spec").entry("taints"), value!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
}

/// See the module.
pub(crate) struct TaintNodesByCondition;

impl AdmissionPlugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "nodes") && admission.operation == Operation::Create
    }

    fn admit(&self, _: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        taint(object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taint_is_added_once() {
        let mut node = value!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}});
        taint(&mut node);
        taint(&mut node);
        assert_eq!(node["spec"]["taints"].items().len(), 2);
    }
}
