//! YAML bodies: YAML 1.1 as `sigs.k8s.io/yaml` reads it, which makes JSON of
//! them first (so `y` is a truth value and `0644` is 420), and YAML answers.
//!
//! One document; what follows the first is not read. Splitting the text into
//! nodes is granit-parser's; what the nodes mean is decided here, for it differs
//! between packages and is part of the wire.

mod decode;
mod nodes;
mod resolve;
mod write;

use crate::{Value, json};

/// Bytes that are no YAML; displays as Go's packages: `yaml: line 1: did not …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    #[error("yaml: {}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Yaml { line: Option<usize>, message: String },
    /// YAML that JSON cannot say.
    #[error("{0}")]
    NoJson(String),
}

impl YamlError {
    fn new(message: impl Into<String>) -> Self {
        YamlError::Yaml { line: None, message: message.into() }
    }
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
///
/// # Errors
/// What is no YAML, or has no JSON.
pub fn to_json(bytes: &[u8]) -> Result<Converted, YamlError> {
    let (value, problem) = read(bytes)?;
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    json::encode(&value, &mut text);
    Ok(Converted { json: text, problem })
}

/// Reads a YAML body as an untyped tree.
///
/// # Errors
/// As [`to_json`].
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
    let (mut value, duplicates) = decode::document(&nodes::parse(&text)?)?;
    json::sort_deep(&mut value);
    let problem =
        (!duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", duplicates.join("\n  ")));
    Ok((value, problem))
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
    fn plain_words_mean_what_they_mean_to_go() {
        let cases = [
            ("yes", value!(true)),
            ("YES", value!(true)),
            ("yEs", value!("yEs")),
            ("Off", value!(false)),
            ("TruE", value!("TruE")),
            ("'true'", value!("true")),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("nULL", value!("nULL")),
            ("\"\"", value!("")),
            ("1_000", value!(1000)),
            ("+12", value!(12)),
            ("0x1F", value!(31)),
            ("0b101", value!(5)),
            ("-0b11", value!(-3)),
            ("0o17", value!(15)),
            ("017", value!(15)),
            ("08", value!(8.0)),
            ("1.", value!(1.0)),
            (".5e1", value!(5.0)),
            ("1e3", value!(1000.0)),
            ("1e999", value!("1e999")),
            ("0x", value!("0x")),
            ("1:30", value!("1:30")),
            ("2026-01-01", value!("2026-01-01")),
            ("!!str 5", value!("5")),
            ("!!int '5'", value!(5)),
            ("!!float 5", value!(5.0)),
            ("!own 5", value!("5")),
            ("!!binary aGk=", value!("hi")),
            ("{5: a, 1.5: b, true: c, 1e6: d}", value!({"1.5": "b", "1e+06": "d", "5": "a", "true": "c"})),
            ("a: 1\n<<: {a: 2, b: 3}", value!({"a": 2, "b": 3})),
            ("<<: [{a: 1}, {a: 2, b: 3}]\nb: 4", value!({"a": 1, "b": 4})),
            ("", Value::Null),
            ("--- a\n--- b", value!("a")),
        ];
        for (text, meant) in cases {
            assert_eq!(parse(text.as_bytes()), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_in_gos_words() {
        let bomb = (0..9).fold("a0: &a0 [x]\n".to_owned(), |text, at| {
            let aliases = vec![format!("*a{at}"); 9].join(",");
            format!("{text}a{}: &a{} [{aliases}]\n", at + 1, at + 1)
        });
        let cases = [
            ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
            ("a: *b", "yaml: unknown anchor 'b' referenced"),
            ("!!int x", "yaml: cannot decode !!str `x` as a !!int"),
            (
                "a: {{.Values.x}: 1}",
                "yaml: invalid map key: map[interface {}]interface {}{\".Values.x\":interface {}(nil)}",
            ),
            ("~: [x]", "unsupported map key of type: %!s(<nil>), key: <nil>, value: []interface {}{\"x\"}"),
            ("<<: 5", "yaml: map merge requires map or sequence of maps as the value"),
            ("!!binary '?'", "yaml: !!binary value contains invalid base64 data"),
            ("a: .inf", "json: unsupported value: +Inf"),
            ("a: [1, 2", "yaml: line 1: did not find expected ',' or ']'"),
            (&bomb, "yaml: document contains excessive aliasing"),
        ];
        for (text, told) in cases {
            assert_eq!(to_json(text.as_bytes()).unwrap_err().to_string(), told, "{text}");
        }
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
