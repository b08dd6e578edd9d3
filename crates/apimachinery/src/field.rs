//! Validation errors and the field paths they name (apimachinery's
//! `util/validation/field`).
//!
//! Words and types only: what is valid is decided elsewhere.

use std::collections::HashSet;
use std::fmt;

use crate::Value;
use crate::status::Cause;

/// A path such as `spec.containers[0].name` or `metadata.labels[a/b]`: a
/// linked list on the stack, written out only when an error names it.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The object itself; writes as nothing.
    Root,
    Child(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl<'a> Path<'a> {
    pub fn child(&'a self, name: &'a str) -> Path<'a> {
        Path::Child(self, name)
    }

    pub fn index(&'a self, at: usize) -> Path<'a> {
        Path::Index(self, at)
    }

    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Child(Path::Root, name) => f.write_str(name),
            Path::Child(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, at) => write!(f, "{parent}[{at}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// What is wrong with a field (field.ErrorType).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    InternalError,
    TypeInvalid,
}

impl Kind {
    /// The reason of a cause, such as `FieldValueInvalid`.
    pub fn reason(self) -> &'static str {
        match self {
            Kind::NotFound => "FieldValueNotFound",
            Kind::Required => "FieldValueRequired",
            Kind::Duplicate => "FieldValueDuplicate",
            Kind::Invalid => "FieldValueInvalid",
            Kind::NotSupported => "FieldValueNotSupported",
            Kind::Forbidden => "FieldValueForbidden",
            Kind::TooLong => "FieldValueTooLong",
            Kind::TooMany => "FieldValueTooMany",
            Kind::InternalError => "InternalError",
            Kind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Kind::NotFound => "Not found",
            Kind::Required => "Required value",
            Kind::Duplicate => "Duplicate value",
            Kind::Invalid | Kind::TypeInvalid => "Invalid value",
            Kind::NotSupported => "Unsupported value",
            Kind::Forbidden => "Forbidden",
            Kind::TooLong => "Too long",
            Kind::TooMany => "Too many",
            Kind::InternalError => "Internal error",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    pub kind: Kind,
    pub field: String,
    /// Everything behind `field: `, as it stands in the cause's message.
    pub body: String,
}

impl Error {
    pub fn cause(&self) -> Cause {
        Cause { reason: self.kind.reason().into(), message: self.body.clone(), field: self.field.clone() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

/// So many bytes of errors are told at most: a value may stand in every one.
const MOST_BYTES: usize = 8 << 20;

/// The errors found in an object, in the order of finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    errors: Vec<Error>,
    /// Of their texts.
    bytes: usize,
    /// What was found and let be.
    warnings: Vec<String>,
}

impl Errors {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn len(&self) -> usize {
        self.errors.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.errors.iter()
    }

    /// Whether there is so much to tell that no more is heard.
    pub fn is_full(&self) -> bool {
        self.bytes > MOST_BYTES
    }

    pub fn push(&mut self, error: Error) {
        if !self.is_full() {
            self.bytes += error.field.len() + error.body.len();
            self.errors.push(error);
        }
    }

    pub fn append(&mut self, mut other: Errors) {
        self.bytes += other.bytes;
        self.errors.append(&mut other.errors);
        self.warnings.append(&mut other.warnings);
    }

    /// Tells of what is wrong and was so before, which is let be.
    pub fn warn(&mut self, error: &Error) {
        self.warnings.push(error.to_string());
    }

    /// What was told of so far, whether there are errors or not.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Without those that repeat another word for word (`ErrorList.ToAggregate`).
    #[must_use]
    pub fn distinct(self) -> Self {
        let mut told = HashSet::with_capacity(self.errors.len());
        let Self { mut errors, bytes, warnings } = self;
        errors.retain(|error| told.insert(error.clone()));
        Self { errors, bytes, warnings }
    }

    fn add(&mut self, kind: Kind, path: &Path<'_>, value: Option<Told>, detail: &str) {
        let mut body = kind.words().to_owned();
        if let Some(value) = value {
            body.push_str(": ");
            body.push_str(&value.0);
        }
        if !detail.is_empty() {
            body.push_str(": ");
            body.push_str(detail);
        }
        self.push(Error { kind, field: path.to_string(), body });
    }

    /// `Invalid value: "x": detail`.
    pub fn invalid(&mut self, path: &Path<'_>, value: impl Into<Told>, detail: &str) {
        if self.is_full() {
            return;
        }
        self.add(Kind::Invalid, path, Some(value.into()), detail);
    }

    /// `Required value: detail`.
    pub fn required(&mut self, path: &Path<'_>, detail: &str) {
        self.add(Kind::Required, path, None, detail);
    }

    /// `Forbidden: detail`.
    pub fn forbidden(&mut self, path: &Path<'_>, detail: &str) {
        self.add(Kind::Forbidden, path, None, detail);
    }

    /// `Duplicate value: "x"`.
    pub fn duplicate(&mut self, path: &Path<'_>, value: impl Into<Told>) {
        self.add(Kind::Duplicate, path, Some(value.into()), "");
    }

    /// `Duplicate value: "x": detail`.
    pub fn duplicate_because(&mut self, path: &Path<'_>, value: impl Into<Told>, detail: &str) {
        self.add(Kind::Duplicate, path, Some(value.into()), detail);
    }

    /// `Internal error: detail`.
    pub fn internal(&mut self, path: &Path<'_>, detail: &str) {
        self.add(Kind::InternalError, path, None, detail);
    }

    /// `Invalid value: "x": detail`, of a wrong type.
    pub fn type_invalid(&mut self, path: &Path<'_>, value: impl Into<Told>, detail: &str) {
        self.add(Kind::TypeInvalid, path, Some(value.into()), detail);
    }

    /// `Not found: "x"`.
    pub fn not_found(&mut self, path: &Path<'_>, value: impl Into<Told>) {
        self.add(Kind::NotFound, path, Some(value.into()), "");
    }

    /// `Unsupported value: "x": supported values: "a", "b"`; `supported` in
    /// the order to be written (upstream sorts).
    ///
    /// For fields with a type of their own, as enumerations have: Go writes
    /// their values as JSON, with `<`, `>` and `&` escaped.
    pub fn not_supported(&mut self, path: &Path<'_>, value: impl Into<Value>, supported: &[&str]) {
        let value = Told(crate::json::to_string(&value.into()));
        self.add(Kind::NotSupported, path, Some(value), &choice(supported));
    }

    /// [`not_supported`](Self::not_supported) for a field of type `string`,
    /// whose value Go writes by `%q`.
    pub fn text_not_supported(&mut self, path: &Path<'_>, value: &str, supported: &[&str]) {
        self.add(Kind::NotSupported, path, Some(value.into()), &choice(supported));
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(&mut self, path: &Path<'_>, bytes: usize) {
        let unit = if bytes == 1 { "byte" } else { "bytes" };
        self.add(Kind::TooLong, path, None, &format!("may not be more than {bytes} {unit}"));
    }

    /// `Too many: N: must have at most M items`.
    pub fn too_many(&mut self, path: &Path<'_>, actual: usize, most: usize) {
        self.add(
            Kind::TooMany,
            path,
            Some(Value::Int(actual as i64).into()),
            &format!("must have at most {most} {}", if most == 1 { "item" } else { "items" }),
        );
    }
}

impl fmt::Display for Errors {
    /// As Go's aggregate: one error plain, several in brackets, repeated ones once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = HashSet::with_capacity(self.errors.len());
        let texts = self.errors.iter().map(ToString::to_string);
        let written: Vec<String> = texts.filter(|text| seen.insert(text.clone())).collect();
        match written.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

/// A value as field.Error writes it.
pub struct Told(String);

/// Text of a field with a type of its own, or behind a pointer: Go writes it
/// as JSON, where plain text is written by `%q`.
pub struct Named<'a>(pub &'a str);

impl<T: Into<Value>> From<T> for Told {
    fn from(value: T) -> Self {
        Self(go_value(&value.into()))
    }
}

impl From<Named<'_>> for Told {
    fn from(Named(text): Named<'_>) -> Self {
        Self(crate::json::to_string(&text.into()))
    }
}

/// The values that a field supports, as errors tell them.
fn choice(supported: &[&str]) -> String {
    if supported.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = supported.iter().map(|name| quote(name)).collect();
    format!("supported values: {}", quoted.join(", "))
}

/// A value as field.Error writes it: text quoted, numbers plain, structures as JSON.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Float(number) => crate::go::float(*number),
        other => crate::json::to_string(other),
    }
}

/// Text in quotes as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        let code = u32::from(letter);
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{code:02x}")),
            // What Go does not take for printable.
            '\u{80}'..='\u{a0}'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{feff}' => {
                out.push_str(&format!("\\u{code:04x}"));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once() {
        let path = Path::Root.child("spec");
        let mut errors = Errors::new();
        errors.required(&path, "");
        errors.invalid(&path, "x", "is bad");
        errors.required(&path, "");
        assert_eq!(errors.clone().distinct().len(), 2);
        assert_eq!(errors.distinct().iter().next().map(|error| error.field.as_str()), Some("spec"));
    }

    #[test]
    fn text_with_a_type_of_its_own_is_written_as_json() {
        let path = Path::Root.child("f");
        let mut errors = Errors::new();
        errors.invalid(&path, "a<b\u{1}", "");
        errors.invalid(&path, Named("a<b\u{1}"), "");
        errors.not_supported(&path, "<", &["<"]);
        errors.text_not_supported(&path, "<", &["<"]);
        let told: Vec<&str> = errors.iter().map(|error| error.body.as_str()).collect();
        assert_eq!(
            told,
            [
                r#"Invalid value: "a<b\x01""#,
                r#"Invalid value: "a\u003cb\u0001""#,
                r#"Unsupported value: "\u003c": supported values: "<""#,
                r#"Unsupported value: "<": supported values: "<""#,
            ]
        );
    }

    #[test]
    fn paths_and_words_are_those_of_upstream() {
        let spec = Path::child(&Path::Root, "spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let mut errors = Errors::new();
        errors.required(&first.child("name"), "");
        errors.not_supported(&first.child("imagePullPolicy"), "Maybe", &["Always", "IfNotPresent", "Never"]);
        assert_eq!(
            errors.to_string(),
            "[spec.containers[0].name: Required value, spec.containers[0].imagePullPolicy: Unsupported value: \
             \"Maybe\": supported values: \"Always\", \"IfNotPresent\", \"Never\"]"
        );
        let mut errors = Errors::new();
        errors.too_long(&spec, 1);
        errors.invalid(&spec, 1e19, "large");
        assert_eq!(
            errors.to_string(),
            "[spec: Too long: may not be more than 1 byte, spec: Invalid value: 1e+19: large]"
        );
    }
}
