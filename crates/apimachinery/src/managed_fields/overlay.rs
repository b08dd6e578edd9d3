//! A configuration laid over an object on nobody's behalf: what a
//! MutatingAdmissionPolicy does with an ApplyConfiguration. The words are
//! upstream's.

use super::element;
use super::shape::{Atomic, Form, Shape};
use super::{merge, typed};
use crate::Value;
use crate::schema::ListType;

/// What `config` makes of `live`; nothing goes, and nobody comes to own what
/// is set. Both are in the version that `shape` describes.
///
/// # Errors
/// The configuration does not fit its type, or it sets what can only be
/// replaced as a whole: that would drop what it does not mention.
pub fn overlay(shape: Shape<'_>, live: &Value, config: &Value) -> Result<Value, String> {
    typed::check(shape, config)
        .map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let mut atomics = Vec::new();
    find_atomics(shape, config, &mut String::new(), &mut atomics);
    if !atomics.is_empty() {
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            atomics.join(", ")
        ));
    }
    merge::merge(shape, live, config).map_err(|why| format!("failed to merge patch: {why}"))
}

/// Collects the paths of what is replaced as a whole. As upstream, it does not
/// look into the values of maps.
fn find_atomics(shape: Shape<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let is_atomic = match value {
        Value::Object(_) => matches!(shape.form(), Form::Whole | Form::Object(Atomic::Yes)),
        Value::Array(_) => matches!(shape.form(), Form::Whole | Form::Deduced | Form::List(ListType::Atomic)),
        _ => false,
    };
    if is_atomic {
        found.push(path.clone());
    }
    let length = path.len();
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| shape.names(name)) {
                let Some(member) = shape.member(name) else { continue };
                path.push_str(&element::display(&element::field(name)));
                find_atomics(member, value, path, found);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push_str(&format!("[{at}]"));
                find_atomics(shape.item(), item, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}
