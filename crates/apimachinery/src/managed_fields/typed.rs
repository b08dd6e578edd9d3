//! Whether a configuration fits its schema (structured-merge-diff's
//! `TypedValue.Validate`): what apply asks of a body before it merges it. The
//! words are upstream's.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::element;
use super::shape::{Form, Scalar, Shape};
use crate::schema::ListType;
use crate::{Object, Value, field};

/// Checks `value`, without a word on what a kind allows.
///
/// # Errors
/// Where it does not fit and why: `.spec.replicas: expected numeric (int or
/// float), got string`, one a line where there are several.
pub(super) fn check(shape: Shape<'_>, value: &Value) -> Result<(), String> {
    let mut walk = Walk::default();
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
                self.refuse(format_args!("expected numeric (int or float), got {}", go_type(other)));
            }
            (Scalar::String, other) => self.refuse(format_args!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                go_syntax(other)
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
                if !seen.insert(name) {
                    self.refuse(format_args!("duplicate entries for key {step}"));
                }
                step
            };
            self.below(&step, |walk| walk.value(shape.item(), item));
        }
    }
}

/// `%T` of a decoded value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `%#v` of a decoded value.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => field::quote(text),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(object) => {
            let mut members: Vec<(&str, &Value)> = object.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", field::quote(name), go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        other => crate::json::to_string(other),
    }
}

/// `%v` of a pointer to a struct of one decoded value: `&{x}`.
fn pointer(value: &Value) -> String {
    let mut text = String::from("&{");
    plain(value, &mut text);
    text.push('}');
    text
}

/// `%v` of a decoded value.
fn plain(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                plain(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            let mut members: Vec<(&str, &Value)> = object.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push_str("map[");
            for (at, (name, value)) in members.into_iter().enumerate() {
                let _ = write!(out, "{}{name}:", if at > 0 { " " } else { "" });
                plain(value, out);
            }
            out.push(']');
        }
        other => out.push_str(&crate::json::to_string(other)),
    }
}
