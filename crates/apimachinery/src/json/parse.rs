//! Bytes → tree by the rules for unstructured objects: whole numbers as 64-bit
//! integers where they fit, floats elsewhere, and members sorted as Go writes maps.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::lexer::{Lexer, syntax};
use super::{DecodeError, MAX_DEPTH};
use crate::{Key, Object, Value};

/// What [`parse_reporting`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    pub value: Value,
    /// `duplicate field "spec.a"`, in order of appearance, each once, at most 100.
    pub problems: Vec<String>,
}

/// `apiVersion` and `kind` of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMeta {
    pub api_version: String,
    pub kind: String,
}

/// Reads one JSON value; members sorted by name, of duplicates the last stays.
pub fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut value = parse_ordered(bytes)?;
    sort_deep(&mut value);
    Ok(value)
}

/// As [`parse`], members in the order of the text.
pub fn parse_ordered(bytes: &[u8]) -> Result<Value, DecodeError> {
    Ok(run(bytes, false)?.value)
}

/// As [`parse`], reporting duplicate members (`fieldValidation` Strict and Warn).
pub fn parse_reporting(bytes: &[u8]) -> Result<Parsed, DecodeError> {
    let mut parsed = run(bytes, true)?;
    sort_deep(&mut parsed.value);
    Ok(parsed)
}

fn run(bytes: &[u8], report: bool) -> Result<Parsed, DecodeError> {
    let text = String::from_utf8_lossy(bytes);
    let mut lexer = Lexer::new(&text);
    let mut reader = Reader { lexer: &mut lexer, path: Vec::new(), problems: report.then(Vec::new) };
    let value = reader.value(0)?;
    let problems = reader.problems.unwrap_or_default();
    lexer.end()?;
    Ok(Parsed { value, problems })
}

/// One value of any form, members in the order of the text; of duplicates the
/// last stays without a word.
pub(crate) fn raw_value(lexer: &mut Lexer<'_>, depth: usize) -> Result<Value, DecodeError> {
    Reader { lexer, path: Vec::new(), problems: None }.value(depth)
}

/// Sorts the members of every object, as Go writes maps.
pub fn sort_deep(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort_deep),
        Value::Object(object) => {
            if !object.raw().is_sorted_by(|(a, _), (b, _)| a <= b) {
                object.sort();
            }
            object.raw_mut().iter_mut().for_each(|(_, member)| sort_deep(member));
        }
        _ => {}
    }
}

/// `apiVersion` and `kind` of a body, however the rest looks as long as it is
/// JSON. Errors carry what stands behind `couldn't get version/kind; json parse error: `.
pub fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    const STRUCT: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let text = String::from_utf8_lossy(bytes);
    let mut lexer = Lexer::new(&text);
    let mut meta = TypeMeta::default();
    let mut wrong: Option<String> = None;
    let mut refuse = |kind: &str, what: &str| {
        wrong.get_or_insert_with(|| format!("json: cannot unmarshal {kind} into Go {what}"));
    };
    match lexer.peek() {
        b'{' => {
            lexer.bump();
            let mut first = true;
            while let Some(name) = lexer.member(first)? {
                first = false;
                // encoding/json matches names without regard to case.
                let target = if name.eq_ignore_ascii_case("kind") {
                    Some((&mut meta.kind, "kind"))
                } else if name.eq_ignore_ascii_case("apiVersion") {
                    Some((&mut meta.api_version, "apiVersion"))
                } else {
                    None
                };
                match (target, lexer.peek()) {
                    (Some((target, _)), b'"') => *target = lexer.string()?.into_owned(),
                    (Some((_, field)), byte) => {
                        if let Some(kind) = kind_of(byte) {
                            refuse(kind, &format!("struct field .{field} of type string"));
                        }
                        lexer.skip()?;
                    }
                    (None, _) => lexer.skip()?,
                }
                if !lexer.more_members()? {
                    break;
                }
            }
        }
        byte => {
            let kind = kind_of(byte);
            lexer.skip()?;
            if let Some(kind) = kind {
                refuse(kind, &format!("value of type {STRUCT}"));
            }
        }
    }
    lexer.end()?;
    match wrong {
        Some(text) => Err(DecodeError::Type(text)),
        None => Ok(meta),
    }
}

/// What decode errors call a value that begins with `byte`; nothing for null
/// and for what begins no value.
pub(crate) fn kind_of(byte: u8) -> Option<&'static str> {
    match byte {
        b'{' => Some("object"),
        b'[' => Some("array"),
        b'"' => Some("string"),
        b't' | b'f' => Some("bool"),
        b'-' | b'0'..=b'9' => Some("number"),
        _ => None,
    }
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

struct Reader<'l, 'a> {
    lexer: &'l mut Lexer<'a>,
    path: Vec<Step<'a>>,
    problems: Option<Vec<String>>,
}

impl Reader<'_, '_> {
    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        Ok(match self.lexer.peek() {
            b'{' => Value::Object(self.object(depth)?),
            b'[' => Value::Array(self.array(depth)?),
            b'"' => Value::String(self.lexer.string()?.into_owned()),
            _ => scalar(self.lexer)?,
        })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, DecodeError> {
        check_depth(depth)?;
        self.lexer.bump();
        let mut items = Vec::new();
        if !self.lexer.first_item() {
            return Ok(items);
        }
        loop {
            self.path.push(Step::Index(items.len()));
            items.push(self.value(depth + 1)?);
            self.path.pop();
            if !self.lexer.more_items()? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, DecodeError> {
        check_depth(depth)?;
        self.lexer.bump();
        let mut members = Members::default();
        let mut first = true;
        while let Some(name) = self.lexer.member(first)? {
            first = false;
            let slot = members.slot(&name);
            if slot.is_some() {
                self.duplicate(&name);
            }
            self.path.push(Step::Key(name));
            let value = self.value(depth + 1)?;
            if let Some(Step::Key(name)) = self.path.pop() {
                members.put(slot, name, value);
            }
            if !self.lexer.more_members()? {
                break;
            }
        }
        Ok(members.finish())
    }

    fn duplicate(&mut self, name: &str) {
        let Some(problems) = &mut self.problems else { return };
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Index(at) => path.push_str(&format!("[{at}]")),
            }
        }
        let dot = if path.is_empty() { "" } else { "." };
        let problem = format!("duplicate field {:?}", format!("{path}{dot}{name}"));
        if problems.len() < 100 && !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// A number, a truth value or null.
pub(crate) fn scalar(lexer: &mut Lexer<'_>) -> Result<Value, DecodeError> {
    Ok(match lexer.peek() {
        b'-' | b'0'..=b'9' => {
            let number = lexer.number()?;
            match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().ok_or_else(|| {
                    DecodeError::Type(format!(
                        "json: cannot unmarshal number {} into Go value of type float64",
                        number.text
                    ))
                })?),
            }
        }
        b't' => {
            lexer.literal("true")?;
            Value::Bool(true)
        }
        b'f' => {
            lexer.literal("false")?;
            Value::Bool(false)
        }
        b'n' => {
            lexer.literal("null")?;
            Value::Null
        }
        _ => return Err(lexer.no_value()),
    })
}

pub(crate) fn check_depth(depth: usize) -> Result<(), DecodeError> {
    if depth >= MAX_DEPTH { Err(syntax("exceeded max depth")) } else { Ok(()) }
}

/// The members of an object that is being read: finds duplicates without
/// taking quadratic time.
#[derive(Default)]
pub(crate) struct Members<'a> {
    members: Vec<(Key, Value)>,
    /// Names seen, once there are many and they do not come sorted.
    seen: BTreeSet<Cow<'a, str>>,
}

impl<'a> Members<'a> {
    /// Up to this many a linear search is as good as an index.
    const FEW: usize = 24;

    /// Where the member of this name stands, if it came before.
    #[allow(clippy::ptr_arg, reason = "a borrowed name is kept borrowed among those seen")]
    pub fn slot(&mut self, name: &Cow<'a, str>) -> Option<usize> {
        let members = &self.members;
        match members.last() {
            None => return None,
            Some(_) if members.len() <= Self::FEW => {}
            _ => {
                if self.seen.is_empty() {
                    self.seen.extend(members.iter().map(|(key, _)| Cow::Owned(key.clone().into_owned())));
                }
                if self.seen.insert(name.clone()) {
                    return None;
                }
            }
        }
        members.iter().position(|(key, _)| key == name)
    }

    pub fn put(&mut self, slot: Option<usize>, name: Cow<'_, str>, value: Value) {
        match slot {
            Some(at) => self.members[at].1 = value,
            None => self.members.push((Cow::Owned(name.into_owned()), value)),
        }
    }

    pub fn finish(self) -> Object {
        Object::from(self.members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn numbers_are_those_of_unstructured_objects() {
        let parsed =
            parse(br#"{"b":9223372036854775807,"a":9223372036854775808,"c":1.0,"d":-5,"e":1e2}"#).unwrap();
        assert_eq!(parsed["b"], Value::Int(i64::MAX));
        assert_eq!(parsed["a"], Value::Float(9223372036854775808.0));
        assert_eq!(parsed["c"], Value::Float(1.0));
        assert_eq!(parsed["d"], Value::Int(-5));
        assert_eq!(parsed["e"], Value::Float(100.0));
        assert_eq!(parsed.members().next().map(|(key, _)| key), Some("a"));
    }

    #[test]
    fn of_duplicates_the_last_stays() {
        let parsed = parse_reporting(br#"{"a":1,"l":[{"b":1,"b":2,"b":3}],"a":2}"#).unwrap();
        assert_eq!(parsed.value, value!({"a": 2, "l": [{"b": 3}]}));
        assert_eq!(parsed.problems, [r#"duplicate field "l[0].b""#, r#"duplicate field "a""#]);
    }

    #[test]
    fn many_members_are_found_again() {
        let members: Vec<String> = (0..100).map(|at| format!("\"k{}\":{at}", at % 60)).collect();
        let parsed = parse_reporting(format!("{{{}}}", members.join(",")).as_bytes()).unwrap();
        assert_eq!(parsed.value.as_object().unwrap().len(), 60);
        assert_eq!(parsed.value["k39"], Value::Int(99));
        assert_eq!(parsed.problems.len(), 40);
    }

    #[test]
    fn version_and_kind_are_told_apart_from_the_rest() {
        let meta = type_meta(br#"{"spec":[1],"kind":"Pod","apiVersion":"v1"}"#).unwrap();
        assert_eq!((meta.kind.as_str(), meta.api_version.as_str()), ("Pod", "v1"));
        assert_eq!(
            type_meta(b"[]").unwrap_err().to_string(),
            "json: cannot unmarshal array into Go value of type struct { APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"
        );
        assert_eq!(
            type_meta(br#"{"apiVersion":"v1","#).unwrap_err().to_string(),
            "unexpected end of JSON input"
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert_eq!(parse(text.as_bytes()), Err(DecodeError::Syntax("exceeded max depth".into())));
        }
    }
}
