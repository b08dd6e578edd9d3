//! PriorityClass.

use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value, meta};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

const SYSTEM: &str = "system-";
/// The classes of Kubernetes' own, with their values.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
const MOST: i64 = 1_000_000_000;

/// PriorityClass.
pub struct PriorityClass;

impl Strategy for PriorityClass {
    /// It is given at creation and stays.
    fn changes_generation(&self, _: &Value, _: &Value) -> bool {
        false
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(context.name, object)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["value"].as_i64().unwrap_or(0) != old["value"].as_i64().unwrap_or(0) {
            errors.forbidden(&Path::Root.child("value"), "may not be changed in an update.");
        }
        let field = "preemptionPolicy";
        errors.immutable(&Path::Root.child(field), &object[field], &old[field]);
        errors
    }

    fn may_delete(&self, context: &Context<'_>, object: &Value) -> Result<(), Status> {
        let name = meta::name(object);
        if SYSTEM_CLASSES.iter().any(|(system, _)| *system == name) {
            let why = "this is a system priority class and cannot be deleted";
            return Err(Status::forbidden(context.definition.group_resource(), name, why));
        }
        Ok(())
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::priority_class(object, now)
    }
}

fn validate(name: &str, object: &Value) -> Errors {
    let mut errors = Errors::new();
    let value = object["value"].as_i64().unwrap_or(0);
    if name.starts_with(SYSTEM) {
        if let Some(why) = wrong_system_class(name, value, object["globalDefault"].is_true()) {
            let told = format!(
                "priority class names with '{SYSTEM}' prefix are reserved for system use only. error: {why}"
            );
            errors.forbidden(&Path::Root.child("metadata").child("name"), &told);
        }
    } else if value > MOST {
        let why = format!("maximum allowed value of a user defined priority is {MOST}");
        errors.forbidden(&Path::Root.child("value"), &why);
    }
    let policy = Path::Root.child("preemptionPolicy");
    match object["preemptionPolicy"].as_str() {
        Some("") => errors.required(&policy, ""),
        Some(text) => errors.one_of(&policy, text, &["PreemptLowerPriority", "Never"]),
        None => {}
    }
    errors
}

fn wrong_system_class(name: &str, value: i64, global: bool) -> Option<String> {
    let Some((_, own)) = SYSTEM_CLASSES.iter().find(|(system, _)| *system == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if *own != value {
        return Some(format!("value of {name} PriorityClass must be {own}"));
    }
    global.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn users_stay_below_the_system() {
        for (name, object, expected) in [
            ("a", value!({"value": 1_000_000_000}), ""),
            (
                "a",
                value!({"value": 1_000_000_001}),
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            ),
            ("system-node-critical", value!({"value": 2_000_001_000}), ""),
            (
                "system-node-critical",
                value!({"value": 1}),
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000",
            ),
        ] {
            let errors = validate(name, &object);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
