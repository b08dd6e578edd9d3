//! Label selectors (meta/v1 LabelSelector).

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::labels::Selector;
use apimachinery::validation::{label_key, label_value, meta};

/// A LabelSelector, where it is there.
pub fn validate(path: &Path<'_>, selector: &Value, errors: &mut Errors) {
    meta::labels(&selector["matchLabels"], &path.child("matchLabels"), errors);
    let expressions = path.child("matchExpressions");
    for (at, requirement) in selector["matchExpressions"].items().iter().enumerate() {
        self::requirement(&expressions.index(at), requirement, errors);
    }
}

fn requirement(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    values_fit(path, requirement, errors);
    let operator = requirement["operator"].text();
    if !OPERATORS.contains(&operator) {
        errors.invalid(&path.child("operator"), Named(operator), "not a valid selector operator");
    }
    key_and_values(path, requirement, errors);
}

/// A requirement of an access review, whose operator may be one that is not known yet.
pub fn asked_label(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    values_fit(path, requirement, errors);
    key_and_values(path, requirement, errors);
}

/// As [`asked_label`], of a field.
pub fn asked_field(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    if requirement["key"].text().is_empty() {
        errors.required(&path.child("key"), "must be specified");
    }
    values_fit(path, requirement, errors);
}

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Whether the operator takes values.
fn values_fit(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    let values = requirement["values"].items();
    match requirement["operator"].text() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(&path.child("values"), why);
        }
        _ => {}
    }
}

fn key_and_values(path: &Path<'_>, requirement: &Value, errors: &mut Errors) {
    let values = requirement["values"].items();
    let key = requirement["key"].text();
    errors.check(&path.child("key"), key, label_key(key));
    for (at, value) in values.iter().enumerate() {
        let list = path.child("values");
        errors.check(&list.index(at), value.text(), label_value(value.text()));
    }
}

/// Whether a selector says nothing: absent or without requirements.
pub fn is_empty(selector: &Value) -> bool {
    selector["matchLabels"].members().next().is_none() && selector["matchExpressions"].items().is_empty()
}

/// The selector of a workload: there, valid and, where `empty` says why, not empty.
pub fn of_workload(path: &Path<'_>, selector: &Value, empty: Option<&str>, errors: &mut Errors) {
    if selector.is_null() {
        errors.required(path, "");
        return;
    }
    validate(path, selector, errors);
    if let Some(why) = empty
        && is_empty(selector)
    {
        errors.invalid(path, selector.clone(), why);
    }
}

/// An error at `labels` where the template's labels do not match; where the
/// selector cannot be read, one at `path`. Whether it could be read.
pub fn matches_labels(
    path: &Path<'_>,
    selector: &Value,
    template: &Value,
    labels: &Path<'_>,
    errors: &mut Errors,
) -> bool {
    let own = &template["metadata"]["labels"];
    match Selector::of_label_selector(selector) {
        Err(_) => {
            errors.invalid(path, selector.clone(), "invalid label selector");
            return false;
        }
        Ok(selector) if selector.is_everything() || selector.matches(own) => {}
        Ok(_) => errors.invalid(labels, own.clone(), "`selector` does not match template `labels`"),
    }
    true
}
