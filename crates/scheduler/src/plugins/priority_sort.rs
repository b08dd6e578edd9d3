//! PrioritySort (QueueSort): pods of higher priority go first.

use crate::PodInfo;
use crate::framework::{Plugin, QueueSort};

pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn as_queue_sort(&self) -> Option<&dyn QueueSort> {
        Some(self)
    }
}

impl QueueSort for PrioritySort {
    fn rank(&self, pod: &PodInfo) -> i64 {
        -i64::from(pod.priority)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    #[test]
    fn a_higher_priority_is_a_smaller_rank() {
        let rank = |priority: i32| PrioritySort.rank(&pod("a", json!({"spec": {"priority": priority}})));
        assert!(rank(2_000_001_000) < rank(0) && rank(0) < rank(-5) && rank(i32::MIN) > 0);
    }
}
