//! Whether a configuration fits its schema (structured-merge-diff's
//! `TypedValue.Validate`): what apply asks of a body before it merges it. The
//! words are upstream's.

use std::collections::BTreeSet;

use super::element;
use super::shape::{Form, Scalar, Shape};
use crate::schema::ListType;
use crate::{Object, Value, go};

/// Checks `value`, without a word on what a kind allows.
///
/// # Errors
/// Where it does not fit and why: `.spec.replicas: expected numeric (int or
/// float), got string`, one a line where there are several.
pub(super) fn check(shape: Shape<'_>, value: &Value) -> Result<(), String> {
    walk(shape, value, false)
}

/// As [`check`] of an object that is there already, whose lists may hold an
/// item twice.
///
/// # Errors
/// As those of `check`.
pub fn fits(shape: Shape<'_>, value: &Value) -> Result<(), String> {
    walk(shape, value, true)
}

fn walk(shape: Shape<'_>, value: &Value, allows_duplicates: bool) -> Result<(), String> {
    let mut walk = Walk { allows_duplicates, ..Walk::default() };
    walk.value(shape, value);
    match walk.errors.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => Err(format!("errors:\n  {}", several.join("\n  "))),
    }
}

#[derive(Default)]
struct Walk {
    /// The path so far, as people read it.
    path: String,
    errors: Vec<String>,
    allows_duplicates: bool,
}

impl Walk {
    fn refuse(&mut self, why: impl std::fmt::Display) {
        let path = &self.path;
        self.errors.push(if path.is_empty() { why.to_string() } else { format!("{path}: {why}") });
    }

    fn below(&mut self, step: &str, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        walk(self);
        self.path.truncate(length);
    }

    fn value(&mut self, shape: Shape<'_>, value: &Value) {
        match (shape.form(), value) {
            (Form::Whole | Form::Deduced, _) | (_, Value::Null) => {}
            (Form::Scalar(scalar), value) => self.scalar(scalar, value),
            (Form::Object(_), Value::Object(object)) => self.members(shape, object),
            (Form::List(kind), Value::Array(list)) => self.items(shape, kind, list),
            (Form::Object(_), other) => self.refuse(format_args!("expected map, got {}", pointer(other))),
            (Form::List(_), other) => self.refuse(format_args!("expected list, got {}", pointer(other))),
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        match (scalar, value) {
            (Scalar::Number | Scalar::Any, Value::Int(_) | Value::Float(_))
            | (Scalar::String | Scalar::Any, Value::String(_))
            | (Scalar::Bool | Scalar::Any, Value::Bool(_)) => {}
            (Scalar::Number, other) => {
                self.refuse(format_args!("expected numeric (int or float), got {}", go::type_of(other)));
            }
            (Scalar::String, other) => self.refuse(format_args!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                go::syntax(other, go::MAP)
            )),
            (Scalar::Bool, other) => {
                self.refuse(format_args!("expected boolean, got {}", pointer(other)));
            }
            (Scalar::Any, other) => {
                self.refuse(format_args!("expected any scalar, got {}", pointer(other)));
            }
        }
    }

    fn members(&mut self, shape: Shape<'_>, object: &Object) {
        for (name, value) in object.iter() {
            let member = shape.member(name);
            self.below(&format!(".{name}"), |walk| match member {
                Some(shape) => walk.value(shape, value),
                None => walk.refuse("field not declared in schema"),
            });
            // Upstream looks no further in an object with an unknown field.
            if member.is_none() {
                return;
            }
        }
    }

    fn items(&mut self, shape: Shape<'_>, kind: ListType, list: &[Value]) {
        let mut seen = BTreeSet::new();
        for (at, item) in list.iter().enumerate() {
            let step = if kind == ListType::Atomic {
                format!("[{at}]")
            } else {
                let name = match element::of_item(shape, item) {
                    Ok(name) => name,
                    // What has no name cannot be looked into.
                    Err(why) => return self.refuse(format_args!("element {at}: {why}")),
                };
                let step = element::display(&name);
                if !seen.insert(name) && !self.allows_duplicates {
                    self.refuse(format_args!("duplicate entries for key {step}"));
                }
                step
            };
            self.below(&step, |walk| walk.value(shape.item(), item));
        }
    }
}

/// `%v` of a pointer to a struct of one decoded value: `&{x}`.
fn pointer(value: &Value) -> String {
    format!("&{{{}}}", go::plain(value))
}
