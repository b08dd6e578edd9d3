//! SchedulingGates (PreEnqueue): a pod with `spec.schedulingGates` waits until
//! they are gone. The server itself writes the condition that says so.

use crate::PodInfo;
use crate::framework::{Plugin, PreEnqueue};

pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn as_pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        Some(self)
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), String> {
        match pod.wishes().gates.as_slice() {
            [] => Ok(()),
            gates => Err(format!("waiting for scheduling gates: [{}]", gates.join(" "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    #[test]
    fn gates_keep_a_pod_out() {
        let gated = pod("a", json!({"spec": {"schedulingGates": [{"name": "x/one"}, {"name": "two"}]}}));
        assert_eq!(
            SchedulingGates.pre_enqueue(&gated),
            Err("waiting for scheduling gates: [x/one two]".into())
        );
        assert_eq!(SchedulingGates.pre_enqueue(&pod("b", json!({}))), Ok(()));
    }
}
