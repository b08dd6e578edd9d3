//! LimitRange.

use apimachinery::{Object, Value};
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::items;

/// LimitRange.
pub struct LimitRange;

impl Strategy for LimitRange {
    /// Limits of containers that are not said follow from those that are: the
    /// maximum is the limit, the limit the request, else the minimum.
    fn default(&self, _: &str, object: &mut Value) {
        for limit in items(object.entry("spec"), "limits") {
            if limit["type"].text() == "Container" {
                fill(limit, "default", "max");
                fill(limit, "defaultRequest", "default");
                fill(limit, "defaultRequest", "min");
            }
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::config::created_at(object, now)
    }
}

fn fill(limit: &mut Value, field: &'static str, from: &str) {
    let missing: Vec<(String, Value)> = limit[from]
        .members()
        .filter(|(name, _)| limit[field][*name].is_null())
        .map(|(name, amount)| (name.to_owned(), amount.clone()))
        .collect();
    if missing.is_empty() {
        return;
    }
    let amounts = limit.entry(field);
    for (name, amount) in missing {
        amounts.set(name, amount);
    }
    if let Some(amounts) = amounts.as_object_mut() {
        Object::sort(amounts);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn limits_follow_from_each_other() {
        let mut object = value!({"spec": {"limits": [
            {"type": "Container", "default": {"cpu": "2"}, "max": {"memory": "2Gi"}, "min": {"ephemeral-storage": "1Gi"}},
            {"type": "Pod", "max": {"cpu": "4"}}
        ]}});
        LimitRange.default("v1", &mut object);
        let limits = &object["spec"]["limits"];
        assert_eq!(limits[0]["default"], value!({"cpu": "2", "memory": "2Gi"}));
        assert_eq!(
            limits[0]["defaultRequest"],
            value!({"cpu": "2", "memory": "2Gi", "ephemeral-storage": "1Gi"})
        );
        assert!(limits[1]["default"].is_null());
    }
}
