//! Numbers or percentages that pace a roll-out.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation;

/// A number that is not negative, or a percentage.
pub fn non_negative(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    match value {
        Value::String(text) => errors.check(path, text, validation::percent(text)),
        other => super::non_negative(path, other, errors),
    }
}

/// At most 100 percent, where it is a percentage.
pub fn at_most_all(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    if percent(value).is_some_and(|percent| percent > 100) {
        errors.invalid(path, value.clone(), "must not be greater than 100%");
    }
}

fn percent(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    if !validation::percent(text).is_empty() {
        return None;
    }
    Some(text.strip_suffix('%')?.parse().unwrap_or(i64::MAX))
}

/// Whether it stands for nothing: 0 or `0%`.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(_) => percent(value).unwrap_or(0) == 0,
        other => other.as_i64().unwrap_or(0) == 0,
    }
}
