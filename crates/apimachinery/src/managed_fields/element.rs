//! Path elements as text: `f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`, and `.`
//! for the path itself (FieldsV1's own spelling, structured-merge-diff's
//! `fieldpath.PathElement`).
//!
//! The canonical text is the identity of an element: two elements are the same
//! where their texts are. No trees of objects here.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::shape::{Form, Shape};
use crate::field::quote;
use crate::json;
use crate::schema::ListType;
use crate::{Key, Value};

/// The member that says that the path up to here belongs to the set.
pub(super) const SELF: &str = ".";

/// The element of a struct's field or a map's key.
pub(super) fn field(name: &str) -> Key {
    let mut text = String::with_capacity(name.len() + 2);
    text.push_str("f:");
    text.push_str(name);
    Key::Owned(text)
}

/// The element of an item of a set.
pub(super) fn item(value: &Value) -> Key {
    let mut text = String::from("v:");
    write_json(value, &mut text);
    Key::Owned(text)
}

/// The element of an item of a list with keys; a key that the item lacks takes
/// its default from `default`, or is left out. `None` where no key is left.
pub(super) fn keyed<'k>(
    object: &Value,
    keys: impl Iterator<Item = &'k str>,
    default: impl Fn(&str) -> Option<Value>,
) -> Option<Key> {
    let mut text = String::from("k:{");
    // The keys stand in the order of their names.
    let mut names: smallvec::SmallVec<[&str; 4]> = keys.collect();
    names.sort_unstable();
    for name in names {
        let assumed;
        let value = match object.as_object().and_then(|members| members.get(name)) {
            Some(value) => value,
            None => match default(name) {
                Some(value) => {
                    assumed = value;
                    &assumed
                }
                None => continue,
            },
        };
        if text.len() > 3 {
            text.push(',');
        }
        write_string(name, &mut text);
        text.push(':');
        write_json(value, &mut text);
    }
    if text.len() == 3 {
        return None;
    }
    text.push('}');
    Some(Key::Owned(text))
}

/// The element of an item of a list that is no atomic one.
///
/// # Errors
/// Why the item has none, in structured-merge-diff's words.
pub(super) fn of_item(shape: Shape<'_>, item: &Value) -> Result<Key, String> {
    if shape.form() == Form::List(ListType::Map) {
        let said = match item {
            Value::Null => "associative list with keys may not have a null element",
            Value::Object(_) => {
                return keyed(item, shape.keys(), |key| shape.key_default(key)).ok_or_else(|| {
                    let keys: Vec<String> = shape.keys().map(quote).collect();
                    format!(
                        "associative list with keys has an element that omits all key fields [{}] (and doesn't \
                         have default values for any key fields)",
                        keys.join(" ")
                    )
                });
            }
            _ => "associative list with keys may not have non-map elements",
        };
        return Err(said.to_owned());
    }
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        item => Ok(self::item(item)),
    }
}

/// An element as people read it: `.name`, `[name="a"]`, `[="x"]`, `[0]`
/// (`PathElement.String`).
pub(super) fn display(text: &str) -> String {
    let value = parsed(text).unwrap_or_default();
    match text.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", _)) => {
            let keys: Vec<String> =
                value.members().map(|(name, value)| format!("{name}={}", display_value(value))).collect();
            format!("[{}]", keys.join(","))
        }
        Some(("v:", _)) => format!("[={}]", display_value(&value)),
        Some((_, index)) => format!("[{index}]"),
        None => String::new(),
    }
}

/// `value.ToString`.
fn display_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(display_value).collect::<Vec<_>>().join(","))
        }
        Value::Object(object) => {
            object.iter().map(|(name, value)| format!("{name}={}", display_value(value))).collect()
        }
        other => {
            let mut text = String::new();
            write_json(other, &mut text);
            text
        }
    }
}

/// Whether two values are one: numbers by size, objects whatever their order
/// (`value.Equals`).
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(whole), Value::Float(number)) | (Value::Float(number), Value::Int(whole)) => {
            *whole as f64 == *number
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, a)| right.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// The canonical text of an element that a client wrote; `None` where it is none.
pub(super) fn canonical(text: &str) -> Option<Key> {
    if text == SELF {
        return Some(Key::Borrowed(SELF));
    }
    let (kind, rest) = text.split_at_checked(2)?;
    match kind {
        "f:" => Some(field(rest)),
        "v:" => Some(item(&json::parse(rest.as_bytes()).ok()?)),
        "i:" => rest.parse::<i64>().ok().map(|at| Key::Owned(format!("i:{at}"))),
        "k:" => {
            let value = json::parse(rest.as_bytes()).ok()?;
            let names: Vec<&str> = value.as_object()?.keys().collect();
            keyed(&value, names.into_iter(), |_| None)
        }
        _ => None,
    }
}

/// The members of a `k:` element as an object, the value of a `v:` element.
pub(super) fn parsed(text: &str) -> Option<Value> {
    let (kind, rest) = text.split_at_checked(2)?;
    matches!(kind, "k:" | "v:").then(|| json::parse(rest.as_bytes()).ok()).flatten()
}

/// Upstream's order: the path itself, fields, keys, values, indexes; names by
/// bytes and numbers by size.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    let (kind_a, kind_b) = (rank(a), rank(b));
    if kind_a != kind_b {
        return kind_a.cmp(&kind_b);
    }
    match kind_a {
        2 | 3 if a != b => match (plain_text(a), plain_text(b)) {
            (Some((name, left)), Some((same, right))) if name == same => left.cmp(right),
            _ => match (parsed(a), parsed(b)) {
                (Some(left), Some(right)) => order_values(&left, &right).then_with(|| a.cmp(b)),
                _ => a.cmp(b),
            },
        },
        4 => {
            let number = |text: &str| text[2..].parse::<i64>().unwrap_or(0);
            number(a).cmp(&number(b))
        }
        _ => a.cmp(b),
    }
}

/// The name and the text of a `k:` element with one key, or the text of a `v:` element,
/// where it needs no decoding.
fn plain_text(element: &str) -> Option<(&str, &str)> {
    let (name, text) = match element.strip_prefix("v:\"") {
        Some(text) => ("", text.strip_suffix('"')?),
        None => element.strip_prefix("k:{\"")?.strip_suffix("\"}")?.split_once("\":\"")?,
    };
    (!text.contains(['"', '\\']) && !name.contains(['"', '\\'])).then_some((name, text))
}

fn rank(text: &str) -> u8 {
    match text.as_bytes() {
        [b'.'] => 0,
        [b'f', ..] => 1,
        [b'k', ..] => 2,
        [b'v', ..] => 3,
        _ => 4,
    }
}

/// `value.Compare`: null, bool, number, string, list, object; each by content.
fn order_values(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Float(_) | Value::Int(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (a, b) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Object(left), Value::Object(right)) => {
            for ((name, value), (other, theirs)) in left.iter().zip(right.iter()) {
                let found = name.cmp(other).then_with(|| order_values(value, theirs));
                if found != Ordering::Equal {
                    return found;
                }
            }
            left.len().cmp(&right.len())
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

pub(super) fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => _ = write!(out, "{number}"),
        Value::Float(number) => _ = write!(out, "{number}"),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (at, (name, value)) in object.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // As Go does, lest it be read as HTML.
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                _ = write!(out, "\\u{:04x}", u32::from(letter))
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn elements_have_one_spelling() {
        for (given, canonical_text) in [
            ("f:spec", Some("f:spec")),
            (".", Some(".")),
            ("k:{ \"port\": 80, \"a\":\"x\"}", Some("k:{\"a\":\"x\",\"port\":80}")),
            ("v:\"a\\u0062\"", Some("v:\"ab\"")),
            ("i:007", Some("i:7")),
            ("k:[1]", None),
            ("k:{\"a\":\"<&>\"}", Some("k:{\"a\":\"\\u003c\\u0026\\u003e\"}")),
            ("x:y", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(canonical(given).as_deref(), canonical_text, "{given}");
        }
        let port = value!({"containerPort": 80, "name": "http"});
        assert_eq!(
            keyed(&port, ["containerPort", "protocol"].into_iter(), |_| Some(Value::from("TCP"))).as_deref(),
            Some("k:{\"containerPort\":80,\"protocol\":\"TCP\"}")
        );
        assert_eq!(keyed(&port, ["ip"].into_iter(), |_| None), None);
    }

    #[test]
    fn elements_are_told_as_people_read_them() {
        for (element, told) in [
            ("f:spec", ".spec"),
            ("k:{\"name\":\"a\",\"port\":80}", "[name=\"a\",port=80]"),
            ("v:\"x\"", "[=\"x\"]"),
            ("v:true", "[=true]"),
            ("i:3", "[3]"),
        ] {
            assert_eq!(display(element), told);
        }
    }

    #[test]
    fn numbers_are_ordered_by_size() {
        assert_eq!(order("k:{\"port\":443}", "k:{\"port\":8080}"), Ordering::Less);
        assert_eq!(order("k:{\"port\":9}", "k:{\"port\":80}"), Ordering::Less);
        assert_eq!(order("i:10", "i:9"), Ordering::Greater);
        assert_eq!(order("k:{\"a\":\"x y\"}", "k:{\"a\":\"x\"}"), Ordering::Greater);
        assert_eq!(order("v:\"a\\\"b\"", "v:\"a\""), Ordering::Greater);
        assert_eq!(order("f:z", "k:{\"a\":1}"), Ordering::Less);
        assert_eq!(order(".", "f:"), Ordering::Less);
    }
}
