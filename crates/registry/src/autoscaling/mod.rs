//! HorizontalPodAutoscaler: stored as `autoscaling/v2`, served as v1 too.

mod conversion;
mod validation;

use apimachinery::field::Errors;
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

pub use conversion::V1;

/// HorizontalPodAutoscaler.
pub struct HorizontalPodAutoscaler;

/// Of the requested cpu, where no metric is named.
const DEFAULT_PERCENT: i64 = 80;

fn average_cpu(percent: i64) -> Value {
    value!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}
    })
}

impl Strategy for HorizontalPodAutoscaler {
    fn default(&self, version: &str, object: &mut Value) {
        if version == "v1" {
            let told = !object["metadata"]["annotations"][conversion::METRICS].is_null();
            let spec = object.entry("spec");
            if spec["targetCPUUtilizationPercentage"].is_null() && !told {
                spec.set("targetCPUUtilizationPercentage", DEFAULT_PERCENT);
            }
            return;
        }
        let spec = object.entry("spec");
        if spec["metrics"].items().is_empty() {
            spec.set("metrics", vec![average_cpu(DEFAULT_PERCENT)]);
        }
        default_behavior(spec);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::validate(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate(object, Some(old))
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        validation::validate_status(object)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::scaling::autoscaler(object, now)
    }
}

/// Rules of scaling where some are given: the rest follows upstream's. An empty
/// list of policies is one, and wrong.
fn default_behavior(spec: &mut Value) {
    if spec["behavior"].is_null() {
        return;
    }
    let behavior = spec.entry("behavior");
    let percent = value!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = value!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (direction, policies) in [("scaleUp", vec![pods, percent.clone()]), ("scaleDown", vec![percent])] {
        crate::changes::default_struct(behavior, direction);
        let rules = behavior.entry(direction);
        if rules["policies"].is_null() {
            rules.set("policies", policies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_at_80_percent_is_the_default() {
        let mut v2 = value!({"spec": {"maxReplicas": 5}});
        HorizontalPodAutoscaler.default("v2", &mut v2);
        assert_eq!(v2["spec"]["metrics"], Value::Array(vec![average_cpu(DEFAULT_PERCENT)]));
        let mut v1 = value!({"spec": {"maxReplicas": 5}});
        HorizontalPodAutoscaler.default("v1", &mut v1);
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"].as_i64(), Some(80));
    }

    #[test]
    fn policies_are_defaulted_where_there_are_none_and_not_where_the_list_is_empty() {
        let mut object = value!({"spec": {"behavior": {"scaleUp": {"policies": []}}}});
        HorizontalPodAutoscaler.default("v2", &mut object);
        let behavior = &object["spec"]["behavior"];
        assert_eq!(behavior["scaleUp"]["policies"].items().len(), 0);
        assert_eq!(behavior["scaleDown"]["policies"].items().len(), 1);
    }
}
