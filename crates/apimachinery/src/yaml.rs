//! YAML bodies: YAML 1.1 as `sigs.k8s.io/yaml` reads it, which makes JSON of
//! them first (so `y` is a truth value and `0644` is 420), and YAML answers.
//!
//! One document; what follows the first is not read.

mod write;

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Options, Spanned};

use crate::json::MAX_DEPTH;
use crate::{Object, Value, json};

/// Bytes that are no YAML; displays as Go's package: `yaml: line 1: did not …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct YamlError {
    pub line: Option<u64>,
    pub message: String,
}

/// A body turned into JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// Members sorted, of duplicates the last.
    pub json: Vec<u8>,
    /// What strict reading says of duplicate keys:
    /// `yaml: unmarshal errors:\n  line 5: key "k" already set in map`.
    pub problem: Option<String>,
}

/// Turns a YAML body (JSON is YAML too) into JSON.
pub fn to_json(bytes: &[u8]) -> Result<Converted, YamlError> {
    let (value, problem) = read(bytes)?;
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    json::encode(&value, &mut text);
    Ok(Converted { json: text, problem })
}

/// Reads a YAML body as an untyped tree.
pub fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    Ok(read(bytes)?.0)
}

/// Writes a tree as YAML, members sorted, as Go's package does.
pub fn to_string(value: &Value) -> Result<String, YamlError> {
    let mut sorted = value.clone();
    json::sort_deep(&mut sorted);
    Ok(write::document(&sorted))
}

fn read(bytes: &[u8]) -> Result<(Value, Option<String>), YamlError> {
    let text = String::from_utf8_lossy(bytes);
    let options: Options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let Node { mut value, duplicates } = match serde_saphyr::from_str_with_options(&text, options) {
        Ok(node) => node,
        Err(error) => return Err(told(&error, &text)),
    };
    json::sort_deep(&mut value);
    let problem =
        (!duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", duplicates.join("\n  ")));
    Ok((value, problem))
}

/// The parser's error with Go's line.
fn told(error: &serde_saphyr::Error, body: &str) -> YamlError {
    if let Some(error) = unclosed(error, body) {
        return error;
    }
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let text = error.to_string();
    // The place is told by the line alone.
    let message = text.split(" at line ").next().unwrap_or(&text).lines().next().unwrap_or("").to_owned();
    YamlError { line, message }
}

/// A bracket that nothing closes, in Go's words: they tell what was expected
/// where the text ends.
fn unclosed(error: &serde_saphyr::Error, body: &str) -> Option<YamlError> {
    let text = error.to_string();
    let bracket = text.split_once("unclosed bracket '")?.1.chars().next()?;
    let lines = body.lines().count() as u64;
    if body.trim_end().ends_with(['{', '[', ',', ':']) {
        return Some(YamlError { line: Some(lines), message: "did not find expected node content".into() });
    }
    let closing = if bracket == '{' { '}' } else { ']' };
    let opened = error.location().map_or(1, |location| location.line());
    Some(YamlError {
        line: Some(if opened > 1 { opened - 1 } else { lines }),
        message: format!("did not find expected ',' or '{closing}'"),
    })
}

/// A tree and what is said of its duplicate keys.
#[derive(Default)]
struct Node {
    value: Value,
    duplicates: Vec<String>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut duplicates = Vec::new();
        let value = Reader { duplicates: &mut duplicates, depth: 0 }.deserialize(deserializer)?;
        Ok(Node { value, duplicates })
    }
}

struct Reader<'a> {
    duplicates: &'a mut Vec<String>,
    depth: usize,
}

impl Reader<'_> {
    fn inner(&mut self) -> Reader<'_> {
        Reader { duplicates: self.duplicates, depth: self.depth + 1 }
    }

    fn check<E: de::Error>(&self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH { Err(E::custom("exceeded max depth")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        if number.is_finite() { Ok(Value::Float(number)) } else { Err(E::custom("JSON has no such number")) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.check()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.inner())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.check()?;
        let mut object = Object::new();
        while let Some(key) = access.next_key::<Spanned<Value>>()? {
            let name = match key.value {
                Value::String(text) => text,
                Value::Array(_) | Value::Object(_) => {
                    return Err(de::Error::custom("a mapping or sequence cannot be a JSON member's name"));
                }
                scalar => json::to_string(&scalar),
            };
            let value = access.next_value_seed(self.inner())?;
            if object.contains(&name) {
                let line = key.referenced.line();
                self.duplicates.push(format!("line {line}: key {name:?} already set in map"));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn yaml_is_that_of_1_1() {
        let body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\n  labels: {a: on, b: \"no\", c: 0644, 5: x}\ndata:\n  k: |\n    a\n    b\n  f: 1.0\n  nil: ~\n";
        assert_eq!(
            parse(body).unwrap(),
            value!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": true, "labels": {"a": true, "b": "no", "c": 420, "5": "x"}},
                "data": {"k": "a\nb\n", "f": 1.0, "nil": null}
            })
        );
        let shared = b"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n";
        assert_eq!(parse(shared).unwrap(), value!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}));
        assert_eq!(parse(br#"{"a": [1, "x"]}"#).unwrap(), value!({"a": [1, "x"]}));
    }

    #[test]
    fn long_words_stay_whole() {
        let long = "word".repeat(60);
        let written = to_string(&value!({"long": long.as_str(), "lines": "a\nb\n"})).unwrap();
        assert_eq!(written, format!("lines: |\n  a\n  b\nlong: {long}\n"));
    }

    #[test]
    fn duplicates_are_told_with_their_line() {
        let body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yml}\nbogus: 1\ndata: {k: a, k: b}\n";
        let converted = to_json(body).unwrap();
        assert_eq!(
            converted.problem.as_deref(),
            Some("yaml: unmarshal errors:\n  line 5: key \"k\" already set in map")
        );
        assert_eq!(
            String::from_utf8(converted.json).unwrap(),
            r#"{"apiVersion":"v1","bogus":1,"data":{"k":"b"},"kind":"ConfigMap","metadata":{"name":"yml"}}"#
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let error = to_json(br#"{"apiVersion": "v1", "kind":"#).unwrap_err();
        assert!(error.to_string().starts_with("yaml: line 1: "), "{error}");
        let bomb: String = "[".repeat(5000);
        assert!(to_json(bomb.as_bytes()).is_err());
    }

    #[test]
    fn trees_are_written_and_read_again() {
        let tree = value!({"b": ["x", {"c": "on"}, 1], "a": "0777", "f": 2.0, "t": "two\nlines\n", "e": {}, "l": []});
        let text = to_string(&tree).unwrap();
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            value!({
                "b": ["x", {"c": "on"}, 1], "a": "0777", "f": 2, "t": "two\nlines\n", "e": {}, "l": []
            })
        );
        assert!(text.starts_with("a:"), "{text}");
    }
}
