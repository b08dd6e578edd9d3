//! PodDisruptionBudget.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::conditions;
use crate::rules::{internal, non_negative, rollout, selector};

/// PodDisruptionBudget.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn knows_finalizers(&self) -> bool {
        false
    }

    fn checks_metadata(&self, _: &Context<'_>) -> bool {
        false
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(&object["spec"])
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let (status, path) = (&object["status"], Path::Root.child("status"));
        conditions::validate(&path.child("conditions"), &status["conditions"], &mut errors);
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            non_negative(&path.child(field), &status[field], &mut errors);
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::scaling::disruption_budget(object, now)
    }
}

fn validate(spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let fields = ["minAvailable", "maxUnavailable"];
    if fields.iter().all(|field| !spec[*field].is_null()) {
        let told = internal::of("PodDisruptionBudgetSpec", spec);
        errors.invalid(&path, told, "minAvailable and maxUnavailable cannot be both set");
    }
    for field in fields.into_iter().filter(|field| !spec[*field].is_null()) {
        rollout::non_negative(&path.child(field), &spec[field], &mut errors);
        rollout::at_most_all(&path.child(field), &spec[field], &mut errors);
    }
    selector::validate(&path.child("selector"), &spec["selector"], &mut errors);
    if let Some(policy) = spec["unhealthyPodEvictionPolicy"].as_str() {
        let known = ["AlwaysAllow", "IfHealthyBudget"];
        errors.one_of(&path.child("unhealthyPodEvictionPolicy"), policy, &known);
    }
    errors
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn one_bound_that_is_a_number_or_a_share() {
        for (spec, wrong) in [
            (value!({"minAvailable": 1}), 0),
            (value!({"maxUnavailable": "50%"}), 0),
            (value!({"maxUnavailable": "150%"}), 1),
            (value!({"minAvailable": "x"}), 1),
            (value!({"minAvailable": -1}), 1),
            (value!({"minAvailable": 1, "maxUnavailable": 1}), 1),
        ] {
            assert_eq!(validate(&spec).len(), wrong, "{spec:?}");
        }
    }
}
