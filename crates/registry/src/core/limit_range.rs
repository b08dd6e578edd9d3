//! LimitRange.

use std::collections::HashSet;

use apimachinery::field::{Errors, Named, Path};
use apimachinery::quantity::Quantity;
use apimachinery::{Object, Value, meta, validation};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::service_account::uuid;
use crate::changes::items;
use crate::rules::qualified;
use crate::rules::resources::{self, amount};

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

    fn creates_on_update(&self) -> bool {
        true
    }

    /// One without a name is called by a uid.
    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        if meta::name(object).is_empty() {
            object.set_at(&["metadata", "name"], uuid(context.random));
        }
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate(&object["spec"]["limits"], &mut errors);
        errors
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

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];

fn validate(limits: &Value, errors: &mut Errors) {
    let spec = Path::Root.child("spec");
    let field = spec.child("limits");
    let limits = limits.items();
    let mut kinds = HashSet::new();
    for (at, limit) in limits.iter().enumerate() {
        let here = field.index(at);
        let kind = limit["type"].text();
        qualified(&here.child("type"), kind, errors);
        let well_formed = validation::qualified_name(kind).is_empty();
        if well_formed && !kind.contains('/') && !TYPES.contains(&kind) {
            errors.invalid(
                &here.child("type"),
                Named(kind),
                "must be a standard limit type or fully qualified",
            );
        }
        if !kinds.insert(kind) {
            errors.duplicate(&here.child("type"), Named(kind));
        }
        names(limit, "max", &here, errors);
        names(limit, "min", &here, errors);
        for default in ["default", "defaultRequest"] {
            if kind != "Pod" {
                names(limit, default, &here, errors);
            } else if !crate::rules::is_empty(&limit[default]) {
                errors.forbidden(&here.child(default), "may not be specified when `type` is 'Pod'");
            }
        }
        let storage = |list: &str| !limit[list]["storage"].is_null();
        if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            let why = "either minimum or maximum storage value is required, but neither was provided";
            errors.required(&here.child("limits"), why);
        }
        names(limit, "maxLimitRequestRatio", &here, errors);
        amounts(limit, &here, errors);
    }
}

fn names(limit: &Value, list: &str, path: &Path<'_>, errors: &mut Errors) {
    let field = path.child(list);
    for (name, _) in limit[list].members() {
        if matches!(limit["type"].text(), "Pod" | "Container") {
            resources::container_name(&field.key(name), name, errors);
        } else {
            resources::name(&field.key(name), name, errors);
        }
    }
}

/// The most that has a value in thousandths, in 63 bits.
const MOST_WITH_MILLIS: i64 = i64::MAX / 1000;

/// What the limits say of each resource goes together.
fn amounts(limit: &Value, path: &Path<'_>, errors: &mut Errors) {
    let is_pod = limit["type"].text() == "Pod";
    let lists: &[&str] = if is_pod {
        &["max", "min", "maxLimitRequestRatio"]
    } else {
        &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    };
    let mut known: Vec<&str> =
        lists.iter().flat_map(|list| limit[*list].members().map(|(name, _)| name)).collect();
    known.sort_unstable();
    known.dedup();
    for name in known {
        let of =
            |list: &str| lists.contains(&list).then(|| &limit[list][name]).filter(|value| !value.is_null());
        let (min, max, default) = (of("min"), of("max"), of("default"));
        let (request, ratio) = (of("defaultRequest"), of("maxLimitRequestRatio"));
        let mut too_much = |less: (&str, Option<&Value>),
                            more: (&str, Option<&Value>),
                            list: &str,
                            shown: Option<&Value>| {
            if let ((what, Some(less)), (other, Some(more)), Some(shown)) = (less, more, shown)
                && amount(less) > amount(more)
            {
                let why =
                    format!("{what} value {} is greater than {other} value {}", less.text(), more.text());
                errors.invalid(&path.child(list).key(name), shown.clone(), &why);
            }
        };
        too_much(("min", min), ("max", max), "min", min);
        too_much(("min", min), ("default request", request), "defaultRequest", request);
        too_much(("default request", request), ("max", max), "defaultRequest", request);
        too_much(("default request", request), ("default limit", default), "defaultRequest", request);
        too_much(("min", min), ("default", default), "default", min);
        too_much(("default", default), ("max", max), "default", max);
        if let Some(ratio) = ratio {
            let field = path.child("maxLimitRequestRatio");
            let field = field.key(name);
            if amount(ratio) < Quantity::from_milli(1000) {
                let why = format!("ratio {} is less than 1", ratio.text());
                errors.invalid(&field, ratio.clone(), &why);
            }
            if let (Some(min), Some(max)) = (min, max)
                && let Some(most) = beyond(&amount(ratio), &amount(min), &amount(max))
            {
                let why = format!("ratio {} is greater than max/min = {most:.6}", ratio.text());
                errors.invalid(&field, ratio.clone(), &why);
            }
        }
        if let (Some(default), Some(request)) = (default, request)
            && !resources::may_overcommit(name)
            && amount(default) != amount(request)
        {
            let why = format!(
                "default value {} must equal to defaultRequest value {} in {name}",
                default.text(),
                request.text()
            );
            errors.invalid(&path.child("defaultRequest").key(name), request.clone(), &why);
        }
    }
}

/// The relation of `max` to `min`, where `ratio` is greater.
#[expect(clippy::cast_precision_loss, reason = "as upstream's floats compare")]
fn beyond(ratio: &Quantity, min: &Quantity, max: &Quantity) -> Option<f64> {
    let fine = [ratio, min, max].iter().all(|amount| amount.value() < MOST_WITH_MILLIS);
    let (asked, least, most) = if fine {
        (ratio.milli_value() as f64 / 1000.0, min.milli_value() as f64, max.milli_value() as f64)
    } else {
        (ratio.value() as f64, min.value() as f64, max.value() as f64)
    };
    let limit = most / least;
    (asked > limit).then_some(limit)
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

    #[test]
    fn limits_go_together() {
        for (limit, told) in [
            (value!({"type": "Pod", "max": {"cpu": "4"}, "min": {"cpu": "2"}}), vec![]),
            (
                value!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
                vec!["spec.limits[0].min[cpu]"],
            ),
            (value!({"type": "Pod", "default": {"cpu": "1"}}), vec!["spec.limits[0].default"]),
            (value!({"type": "Odd"}), vec!["spec.limits[0].type"]),
            (value!({"type": "PersistentVolumeClaim"}), vec!["spec.limits[0].limits"]),
            (
                value!({"type": "Container", "max": {"cpu": "4"}, "min": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}}),
                vec!["spec.limits[0].maxLimitRequestRatio[cpu]"],
            ),
            (
                value!({"type": "Container", "default": {"hugepages-2Mi": "2Mi"}, "defaultRequest": {"hugepages-2Mi": "1Mi"}}),
                vec!["spec.limits[0].defaultRequest[hugepages-2Mi]"],
            ),
        ] {
            let mut errors = Errors::new();
            validate(&Value::Array(vec![limit]), &mut errors);
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, told);
        }
    }
}
