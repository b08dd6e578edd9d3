//! Where in an object the engine is, and what went wrong so far, by the rules
//! of Go's decoder: the first text that its type refuses wins over the first
//! value of a wrong type, and both let the rest be read.

use std::borrow::Cow;

use super::{Or, Type, TypeId, Types};
use crate::json::DecodeError;

/// Strict problems beyond this many are not kept.
const MOST_PROBLEMS: usize = 100;

pub(super) enum Step<'a> {
    Field(TypeId, &'static str),
    Key(Cow<'a, str>),
    Index(usize),
}

/// A value of another type than was wanted.
pub(super) struct Mismatch {
    /// `number 1.5`, `string`, …
    pub kind: String,
    pub wanted: String,
    text: String,
}

pub(super) struct Context<'t, 'a> {
    pub types: &'t Types,
    path: Vec<Step<'a>>,
    problems: Option<Vec<String>>,
    /// Upstream does not look for problems inside of these.
    quiet: usize,
    mismatch: Option<Mismatch>,
    refused: Option<DecodeError>,
}

impl<'t, 'a> Context<'t, 'a> {
    pub fn new(types: &'t Types, report: bool) -> Self {
        let problems = report.then(Vec::new);
        Self { types, path: Vec::with_capacity(16), problems, quiet: 0, mismatch: None, refused: None }
    }

    #[inline]
    pub fn enter(&mut self, step: Step<'a>) {
        self.path.push(step);
    }

    #[inline]
    pub fn leave(&mut self) -> Option<Step<'a>> {
        self.path.pop()
    }

    /// What was found, or the error.
    pub fn finish(self) -> Result<Vec<String>, DecodeError> {
        match (self.refused, self.mismatch) {
            (Some(error), _) => Err(error),
            (None, Some(mismatch)) => Err(DecodeError::Type(mismatch.text)),
            (None, None) => Ok(self.problems.unwrap_or_default()),
        }
    }

    #[inline]
    pub fn unknown(&mut self, name: &str) {
        self.problem("unknown", name);
    }

    #[inline]
    pub fn duplicate(&mut self, name: &str) {
        self.problem("duplicate", name);
    }

    fn problem(&mut self, what: &str, name: &str) {
        if self.quiet > 0 {
            return;
        }
        let Some(problems) = &mut self.problems else { return };
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => path.push_str(&format!("[{at}]")),
                Step::Field(_, name) => child(&mut path, name),
                Step::Key(name) => child(&mut path, name),
            }
        }
        child(&mut path, name);
        let problem = format!("{what} field {path:?}");
        if problems.len() < MOST_PROBLEMS && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// A value of `kind` where `ty` was wanted; the rest is still read.
    #[cold]
    pub fn mismatch(&mut self, kind: impl Into<String>, ty: Type, go_type: &str) {
        if self.mismatch.is_none() {
            let wanted = if go_type.is_empty() { go_name(self.types, ty) } else { go_type.to_owned() };
            let kind = kind.into();
            let text = self.cannot(&kind, &wanted);
            self.mismatch = Some(Mismatch { kind, wanted, text });
        }
    }

    /// A value of `kind` where a text of some form was wanted: Go stops here.
    #[cold]
    pub fn refuse_kind(&mut self, kind: &str, wanted: &str) {
        let error = DecodeError::Type(self.cannot(kind, wanted));
        self.refuse(error);
    }

    /// A text that its type refuses: Go stops here.
    #[cold]
    pub fn refuse(&mut self, error: DecodeError) {
        self.refused.get_or_insert(error);
    }

    /// A text that its type refuses where Go reads on (base64).
    #[cold]
    pub fn save(&mut self, text: String) {
        if self.mismatch.is_none() {
            self.mismatch = Some(Mismatch { kind: String::new(), wanted: String::new(), text });
        }
    }

    /// Begins a value that decodes itself: upstream reports no problems there.
    pub fn begin_own(&mut self) -> Option<Mismatch> {
        self.quiet += 1;
        self.mismatch.take()
    }

    /// Ends it: a mismatch inside stops Go, and is told with the place outside.
    pub fn end_own(&mut self, before: Option<Mismatch>) {
        self.quiet -= 1;
        if let Some(inner) = std::mem::replace(&mut self.mismatch, before) {
            let text =
                if inner.kind.is_empty() { inner.text } else { self.cannot(&inner.kind, &inner.wanted) };
            self.refuse(DecodeError::Type(text));
        }
    }

    fn cannot(&self, kind: &str, wanted: &str) -> String {
        let mut owner = None;
        let mut path = String::new();
        for step in &self.path {
            if let Step::Field(id, name) = step {
                owner = Some(*id);
                let ty = self.types.get(*id);
                let embedded = ty.index(name).map_or(&[][..], |at| ty.fields[at].embedded);
                for outer in embedded {
                    child(&mut path, outer);
                }
                child(&mut path, name);
            }
        }
        match owner {
            Some(owner) => {
                let owner = self.types.get(owner).short_name();
                format!("json: cannot unmarshal {kind} into Go struct field {owner}.{path} of type {wanted}")
            }
            None => format!("json: cannot unmarshal {kind} into Go value of type {wanted}"),
        }
    }
}

fn child(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// A type as Go prints it.
fn go_name(types: &Types, ty: Type) -> String {
    match ty {
        Type::String => "string".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Bool => "bool".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Float => "float64".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Time => "v1.Time".into(),
        Type::MicroTime => "v1.MicroTime".into(),
        Type::Duration => "v1.Duration".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::RawExtension => "runtime.RawExtension".into(),
        Type::FieldsV1 => "v1.FieldsV1".into(),
        Type::Json => "v1.JSON".into(),
        Type::Any => "interface {}".into(),
        Type::SchemaOr(_, Or::Bool) => "v1.JSONSchemaPropsOrBool".into(),
        Type::SchemaOr(_, Or::Array) => "v1.JSONSchemaPropsOrArray".into(),
        Type::SchemaOr(_, Or::StringArray) => "v1.JSONSchemaPropsOrStringArray".into(),
        Type::Struct(id) => types.get(id).go_name.into(),
        Type::List(item) => format!("[]{}", go_name(types, *item)),
        Type::Map(item) => format!("map[string]{}", go_name(types, *item)),
    }
}
