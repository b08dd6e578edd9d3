//! How large the values of a variable can be, by their places: what upstream's
//! declared types (apiserver/pkg/cel.DeclType) say to its cost estimates.

use std::collections::BTreeMap;

use apimachinery::Value;

use crate::schema::{MAX_REQUEST, declares_resource, is_embedded, smallest};
use crate::types::escape;

/// The longest duration as JSON writes it: its digits and quotes.
const MAX_DURATION: u64 = 32;
/// The longest time of RFC 3339, with its quotes, as upstream counts it.
const DATE_TIME: u64 = 32;
pub(crate) const DATE: u64 = 12;

/// Sizes at one place and below it.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// The most elements, members, characters or bytes. 0 for what has one
    /// size (numbers, objects): as upstream, to compare these costs nothing.
    pub max: u64,
    /// Of a map's keys.
    pub keys: Option<Box<Sizes>>,
    /// Of a list's items or a map's values.
    pub items: Option<Box<Sizes>>,
    /// Of an object's fields, by their names in expressions.
    pub fields: BTreeMap<String, Sizes>,
    /// Whether a map's values can be named as fields.
    pub is_open: bool,
}

impl Sizes {
    /// A value of at most `max` elements, characters or bytes.
    pub fn of(max: u64) -> Self {
        Self { max, ..Self::default() }
    }

    /// A map of at most `max` members.
    pub fn map(keys: Sizes, values: Sizes, max: u64) -> Self {
        Self { max, keys: Some(Box::new(keys)), items: Some(Box::new(values)), ..Self::default() }
    }

    /// An object.
    pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Sizes)>) -> Self {
        let fields = fields.into_iter().map(|(name, sizes)| (name.to_owned(), sizes)).collect();
        Self { fields, ..Self::default() }
    }

    /// Of a map: lets its values be named as fields (`device.attributes["a"].b`).
    #[must_use]
    pub fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let open = self.items.as_deref().filter(|_| self.is_open);
        self.fields.get(name).or(open)
    }
}

/// The sizes of values under `schema` (OpenAPI v3 as a tree), or None where
/// expressions cannot see them. `is_root` as for [`crate::type_of`].
pub fn sizes_of(schema: &Value, is_root: bool) -> Option<Sizes> {
    if schema["x-kubernetes-int-or-string"].is_true() {
        return Some(Sizes::of(length(schema)));
    }
    match schema["type"].text() {
        "array" => {
            let items = &schema["items"];
            let inner = sizes_of(items, is_embedded(items))?;
            let max = limit(schema, "maxItems", smallest(items) + 1);
            Some(Sizes { max, items: Some(Box::new(inner)), ..Sizes::default() })
        }
        "object" => {
            let values = &schema["additionalProperties"];
            if values.as_object().is_some() {
                let inner = sizes_of(values, is_embedded(values))?;
                // A key, its quotes, the colon and a comma. Keys count nothing.
                let max = limit(schema, "maxProperties", smallest(values) + 6);
                return Some(Sizes::map(Sizes::of(0), inner, max));
            }
            let mut fields = BTreeMap::new();
            for (member, property) in schema["properties"].members() {
                let Some(field) = escape(member) else { continue };
                if let Some(inner) = sizes_of(property, is_embedded(property)) {
                    fields.insert(field, inner);
                }
            }
            if (is_root || is_embedded(schema)) && !declares_resource(schema) {
                let text = || Sizes::of(MAX_REQUEST - 2);
                fields.insert("apiVersion".into(), text());
                fields.insert("kind".into(), text());
                let metadata = Sizes::object([("name", text()), ("generateName", text())]);
                fields.insert("metadata".into(), metadata);
            }
            Some(Sizes { fields, ..Sizes::default() })
        }
        "string" => Some(Sizes::of(length(schema))),
        "boolean" | "number" | "integer" => Some(Sizes::of(0)),
        _ => None,
    }
}

/// How many elements there can be: as many as the schema says, or as fit in a request.
fn limit(schema: &Value, field: &str, smallest: u64) -> u64 {
    schema[field].as_i64().map_or((MAX_REQUEST - 2) / smallest, |max| max.max(0) as u64)
}

/// The longest text under `schema`: of its format, its own limit (characters of
/// four bytes at most), or its longest enum.
fn length(schema: &Value) -> u64 {
    let own = schema["maxLength"].as_i64().map(|max| max.max(0) as u64);
    let is_text = schema["type"].text() == "string" && !schema["x-kubernetes-int-or-string"].is_true();
    match schema["format"].text() {
        "byte" if is_text => return own.unwrap_or(MAX_REQUEST - 2),
        "duration" if is_text => return MAX_DURATION,
        "date" if is_text => return DATE,
        "date-time" if is_text => return DATE_TIME,
        _ => {}
    }
    if let Some(max) = own {
        return max.saturating_mul(4);
    }
    let longest = schema["enum"].items().iter().map(|value| value.text().len() as u64).max();
    longest.filter(|_| is_text).unwrap_or(MAX_REQUEST - 2)
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn sizes_follow_the_schema() {
        let schema = value!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 5},
            "b": {"type": "string", "format": "date-time", "maxLength": 5},
            "c": {"type": "array", "maxItems": 3, "items": {"type": "string", "enum": ["x", "yyy"]}},
            "d": {"type": "object", "additionalProperties": {"type": "integer"}},
            "e": {"x-kubernetes-int-or-string": true},
            "f": {"type": "string", "format": "byte", "maxLength": 5}
        }});
        let sizes = sizes_of(&schema, false).expect("an object");
        let max = |name: &str| sizes.field(name).expect("declared").max;
        assert_eq!([max("a"), max("b"), max("c"), max("f")], [20, DATE_TIME, 3, 5]);
        assert_eq!([max("d"), max("e")], [(MAX_REQUEST - 2) / 7, MAX_REQUEST - 2]);
        assert_eq!(sizes.fields["c"].items.as_ref().expect("items").max, 3);
        assert!(sizes.field("metadata").is_none());
    }
}
