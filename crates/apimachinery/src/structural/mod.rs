//! Structural schemas: what a custom resource definition says of its objects,
//! and what follows from it for an object tree (pruning, nulls, defaults,
//! validation, unique lists, embedded metadata).
//!
//! Trees follow the rules for unstructured objects. Nothing here knows a kind;
//! whether a schema may be part of a definition is `check`'s matter.

mod check;
mod coerce;
mod defaults;
mod embedded;
mod field_path;
mod formats;
mod load;
mod mail;
mod publish;
mod unique;
mod validate;

use std::sync::OnceLock;

pub use check::{check_defaults, check_structural, unsupported};
pub use coerce::{coerce, prune};
pub use defaults::{default, prune_defaults};
pub use embedded::validate_embedded;
pub use field_path::{Part, field_path};
pub use formats::{has_format, knows_format};
pub use load::load;
pub use publish::{published_v2, published_v3};
pub use unique::{OldItems, validate_lists};
pub use validate::{validate, validate_update};

use crate::Value;
use crate::regexp::Regexp;
pub use crate::schema::ListType;

/// The type of a value, as OpenAPI names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// No type is given: anything (where unknown fields are kept), or an
    /// integer or text.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    /// `object`; "" for [`Kind::Any`].
    pub fn name(self) -> &'static str {
        match self {
            Kind::Any => "",
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Kind::Any, Kind::Object, Kind::Array, Kind::String, Kind::Integer, Kind::Number, Kind::Boolean]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Members of an object that are not among its properties.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Nothing is said of them: they are unknown.
    #[default]
    Unsaid,
    /// `additionalProperties: true` or `false`.
    Allowed(bool),
    /// A map's values.
    Schema(Box<Schema>),
}

/// One node of a structural schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub kind: Kind,
    pub nullable: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserves_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// Sorted by name.
    pub properties: Vec<(Box<str>, Schema)>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    pub default: Option<Value>,
    /// `x-kubernetes-list-type`; None where it is not given, which means atomic.
    pub list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<Box<str>>,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    /// `x-kubernetes-validations`, as they stand in the definition.
    pub rules: Vec<Value>,
    /// Value validations; None where there are none.
    pub limits: Option<Box<Limits>>,
}

/// Value validations of a node.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// A format that is checked, as it was spelled.
    pub format: Option<Box<str>>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub unique_items: bool,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<Box<str>>,
    /// Allowed values; empty where everything is allowed.
    pub values: Vec<Value>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// A regular expression, compiled when a value first meets it.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    pub text: Box<str>,
    compiled: OnceLock<Option<Regexp>>,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self { text: text.into(), compiled: OnceLock::new() }
    }

    /// Whether `value` holds a match; false where the pattern is none.
    pub fn matches(&self, value: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regexp::compile(&self.text).ok());
        compiled.as_ref().is_some_and(|regexp| regexp.is_match(value))
    }
}

impl Schema {
    /// The property `name`.
    pub fn property(&self, name: &str) -> Option<&Schema> {
        let at = self.properties.binary_search_by(|(have, _)| (**have).cmp(name)).ok()?;
        Some(&self.properties[at].1)
    }

    /// The schema of a member: its property's, or that of a map's values.
    pub fn member(&self, name: &str) -> Option<&Schema> {
        self.property(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            _ => None,
        })
    }

    /// How apply merges a value of this node: lists by their type and keys
    /// (the second part), everything else whole ([`Merge::Whole`]) or member
    /// by member.
    pub fn merge(&self) -> Merge<'_> {
        match self.kind {
            Kind::Array => match self.list_type {
                Some(ListType::Set) => Merge::Set,
                Some(ListType::Map) => Merge::Keyed(&self.list_keys),
                Some(ListType::Atomic) | None => Merge::Whole,
            },
            Kind::Object if self.atomic => Merge::Whole,
            Kind::Object => Merge::Members,
            Kind::Any if self.preserves_unknown => Merge::Members,
            _ => Merge::Whole,
        }
    }

    /// Whether any node below (and with) this one satisfies `is`.
    pub fn any(&self, is: &dyn Fn(&Schema) -> bool) -> bool {
        is(self)
            || self.properties.iter().any(|(_, schema)| schema.any(is))
            || self.items.as_ref().is_some_and(|schema| schema.any(is))
            || matches!(&self.additional, Additional::Schema(schema) if schema.any(is))
    }

    fn limits(&self) -> &Limits {
        static NONE: OnceLock<Limits> = OnceLock::new();
        self.limits.as_deref().unwrap_or_else(|| NONE.get_or_init(Limits::default))
    }
}

/// How the parts of a value are owned and merged by apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge<'a> {
    Whole,
    /// An object, member by member.
    Members,
    /// A list of scalars without order.
    Set,
    /// A list of objects told apart by these members.
    Keyed(&'a [Box<str>]),
}

/// The members that every resource has, whatever its schema says.
fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

#[cfg(test)]
mod tests;
