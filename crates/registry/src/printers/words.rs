//! The words that several printers share: ages, lists with an end, labels.

use apimachinery::labels::Selector;
use apimachinery::{Value, meta, table, time};
use jiff::Timestamp;

pub const NONE: &str = "<none>";
pub const UNSET: &str = "<unset>";
pub const UNKNOWN: &str = "<unknown>";

/// Cells of values of several types.
#[macro_export]
#[doc(hidden)]
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$(::apimachinery::Value::from($cell)),*] };
}
pub(crate) use crate::cells;

/// How long ago `moment` (RFC 3339) was; `<unknown>` where there is none.
pub fn since(moment: &Value, now: Timestamp) -> String {
    match moment.as_str().and_then(time::parse) {
        None => UNKNOWN.into(),
        Some(then) => table::human_duration(now.duration_since(then).as_secs()),
    }
}

/// The age of an object.
pub fn age(object: &Value, now: Timestamp) -> String {
    since(&object["metadata"]["creationTimestamp"], now)
}

pub fn name(object: &Value) -> &str {
    meta::name(object)
}

/// The text, or `instead` where it is absent or empty.
pub fn or<'a>(value: &'a Value, instead: &'a str) -> &'a str {
    match value.text() {
        "" => instead,
        text => text,
    }
}

/// A number; 0 where it is absent.
pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// A number or text as text; "" for anything else.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    }
}

/// `True`, `False`, or `<unset>`.
pub fn truth(value: &Value) -> &'static str {
    match value.as_bool() {
        None => UNSET,
        Some(true) => "True",
        Some(false) => "False",
    }
}

/// `a=b,c=d`, by keys; `<none>` where there are none.
pub fn labels(labels: &Value) -> String {
    let mut pairs: Vec<String> =
        labels.members().map(|(key, value)| format!("{key}={}", value.text())).collect();
    if pairs.is_empty() {
        return NONE.into();
    }
    pairs.sort();
    pairs.join(",")
}

/// A meta/v1 LabelSelector as its text (metav1.FormatLabelSelector).
pub fn selector(selector: &Value) -> String {
    match Selector::of_label_selector(selector) {
        Err(_) => "<error>".into(),
        Ok(selector) if selector.is_nothing() || selector.is_everything() => NONE.into(),
        Ok(selector) => selector.to_string(),
    }
}

/// Names and images of a pod spec's containers.
pub fn containers(spec: &Value) -> (String, String) {
    let join = |field: &str| {
        spec["containers"]
            .items()
            .iter()
            .map(|container| container[field].text())
            .collect::<Vec<_>>()
            .join(",")
    };
    (join("name"), join("image"))
}

/// At most `most` of `items`, and how many more there are.
pub fn at_most(items: &[String], most: usize, separator: &str) -> String {
    let shown = items.len().min(most);
    let text = items[..shown].join(separator);
    if items.len() > most { format!("{text} + {} more...", items.len() - most) } else { text }
}

/// The texts of a list of texts, joined.
pub fn joined(list: &Value, separator: &str) -> String {
    list.items().iter().map(Value::text).collect::<Vec<_>>().join(separator)
}

/// How many members a map has.
pub fn count(map: &Value) -> i64 {
    map.members().count() as i64
}

/// How many items a list has.
pub fn length(list: &Value) -> i64 {
    list.items().len() as i64
}

/// The condition of a type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    object["status"]["conditions"]
        .items()
        .iter()
        .find(|condition| condition["type"].text() == kind)
        .unwrap_or(&apimachinery::value::NULL)
}
