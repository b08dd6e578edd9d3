//! Whether a schema is structural: every field has its type outside of value
//! validations, and nothing in them says what only structure may.
//!
//! Works on the schema as a definition has it (apiextensions/v1 JSONSchemaProps).

use super::coerce::coerce_embedded;
use super::defaults::{Step, wrapped};
use super::{Schema, is_meta, prune, validate, validate_embedded, validate_lists};
use crate::Value;
use crate::field::{Errors, Path};
use crate::regexp::Regexp;
use crate::schema::Types;

/// Where a schema node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Why the schema cannot be taken for a structural one at all.
pub fn unsupported(source: &Value) -> Option<String> {
    let says = |what: &str| Some(format!("OpenAPIV3Schema '{what}' is not supported"));
    for (name, what) in [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "ref"),
        ("additionalItems", "additionalItems"),
        ("patternProperties", "patternProperties"),
        ("definitions", "definitions"),
        ("dependencies", "dependencies"),
    ] {
        if !source[name].is_null() {
            return says(what);
        }
    }
    if source["items"].as_array().is_some() {
        return says("items");
    }
    let one = |name: &str| source[name].as_object().and_then(|_| unsupported(&source[name]));
    let many = |name: &str| source[name].items().iter().find_map(unsupported);
    one("items")
        .or_else(|| one("additionalProperties"))
        .or_else(|| source["properties"].members().find_map(|(_, schema)| unsupported(schema)))
        .or_else(|| many("allOf"))
        .or_else(|| many("anyOf"))
        .or_else(|| many("oneOf"))
        .or_else(|| one("not"))
}

/// What keeps a schema from being structural, sorted as upstream does.
pub fn check_structural(source: &Value, path: &Path<'_>) -> Errors {
    let mut errors = Errors::new();
    invariants(source, Level::Root, path, &mut errors);
    for_junctors(source, path, &mut |nested, place| complete(nested, source, path, place, &mut errors));
    let mut sorted: Vec<_> = errors.iter().cloned().collect();
    sorted.sort_by_key(ToString::to_string);
    let mut errors = Errors::new();
    sorted.into_iter().for_each(|error| errors.push(error));
    errors
}

/// Calls `each` with every schema directly under not, allOf, anyOf and oneOf.
fn for_junctors(source: &Value, path: &Path<'_>, each: &mut dyn FnMut(&Value, &Path<'_>)) {
    if source["not"].as_object().is_some() {
        each(&source["not"], &path.child("not"));
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = path.child(name);
        for (at, nested) in source[name].items().iter().enumerate() {
            each(nested, &list.index(at));
        }
    }
}

fn invariants(source: &Value, level: Level, path: &Path<'_>, errors: &mut Errors) {
    let kind = source["type"].text();
    let items = source["items"].as_object();
    if kind == "array" && items.is_none() {
        errors.required(&path.child("items"), "must be specified");
    }
    if items.is_some() {
        invariants(&source["items"], Level::Item, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, schema) in source["properties"].members() {
        invariants(schema, Level::Field, &properties.key(name), errors);
    }
    let additional = &source["additionalProperties"];
    if !additional.is_null() {
        if level == Level::Root {
            errors.forbidden(&path.child("additionalProperties"), "must not be used at the root");
        }
        if additional.as_object().is_some() {
            invariants(additional, Level::Field, &path.child("additionalProperties"), errors);
        }
    }
    extensions(source, path, errors);
    values(source, is_int_or_string(&source["anyOf"]), is_first_int_or_string(source), level, path, errors);

    let embedded = source["x-kubernetes-embedded-resource"].is_true();
    let preserves = source["x-kubernetes-preserve-unknown-fields"].is_true();
    let type_path = path.child("type");
    if embedded && kind != "object" {
        const WHY: &str = "must be object if x-kubernetes-embedded-resource is true";
        match kind {
            "" => errors.required(&type_path, WHY),
            kind => errors.invalid(&type_path, kind, WHY),
        }
    } else if kind.is_empty() && !source["x-kubernetes-int-or-string"].is_true() && !preserves {
        errors.required(
            &type_path,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        );
    }
    if embedded && !additional.is_null() {
        errors.forbidden(
            &path.child("additionalProperties"),
            "must not be used if x-kubernetes-embedded-resource is set",
        );
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.invalid(&type_path, kind, "must be object at the root");
    }
    let checks_meta = level == Level::Root || embedded;
    for name in ["kind", "apiVersion"] {
        let property = &source["properties"][name];
        if checks_meta && !property.is_null() && property["type"].text() != "string" {
            errors.invalid(&properties.key(name).child("type"), property["type"].text(), "must be string");
        }
    }
    let metadata = &source["properties"]["metadata"];
    if !metadata.is_null() {
        let place = properties.key("metadata");
        if checks_meta && metadata["type"].text() != "object" {
            errors.invalid(&place.child("type"), metadata["type"].text(), "must be object");
        }
        if level == Level::Root && says_more_than_names(metadata) {
            errors.forbidden(
                &place,
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            );
        }
    }
    if embedded && !preserves && source["properties"].members().next().is_none() {
        errors.required(
            &path.child("properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without \
             x-kubernetes-preserve-unknown-fields",
        );
    }
}

/// Metadata at the root may restrict name and generateName alone.
fn says_more_than_names(metadata: &Value) -> bool {
    metadata.members().any(|(name, value)| match name {
        "type" | "default" => false,
        "properties" => value.members().any(|(name, _)| !matches!(name, "name" | "generateName")),
        _ => !is_zero(value),
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn extensions(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    if !source["x-kubernetes-int-or-string"].is_true() {
        return;
    }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if source[name].is_true() {
            errors.invalid(&path.child(name), true, "must be false if x-kubernetes-int-or-string is true");
        }
    }
}

/// Exactly `[{type: integer}, {type: string}]`.
fn is_int_or_string(any_of: &Value) -> bool {
    let is = |schema: &Value, kind: &str| {
        schema.members().all(|(name, value)| name == "type" && value.text() == kind)
            && schema["type"].text() == kind
    };
    matches!(any_of.items(), [first, second] if is(first, "integer") && is(second, "string"))
}

fn is_first_int_or_string(source: &Value) -> bool {
    is_int_or_string(&source["allOf"][0]["anyOf"])
}

/// The value validations of a node, structural or not.
fn values(
    source: &Value,
    skip_any_of: bool,
    skip_first_all_of: bool,
    level: Level,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    if !skip_any_of {
        let list = path.child("anyOf");
        for (at, nested_schema) in source["anyOf"].items().iter().enumerate() {
            nested(nested_schema, false, level, &list.index(at), errors);
        }
    }
    let list = path.child("allOf");
    for (at, nested_schema) in source["allOf"].items().iter().enumerate() {
        nested(nested_schema, skip_first_all_of && at == 0, level, &list.index(at), errors);
    }
    let list = path.child("oneOf");
    for (at, nested_schema) in source["oneOf"].items().iter().enumerate() {
        nested(nested_schema, false, level, &list.index(at), errors);
    }
    if source["not"].as_object().is_some() {
        nested(&source["not"], false, level, &path.child("not"), errors);
    }
    let pattern = source["pattern"].text();
    if !pattern.is_empty()
        && let Err(why) = Regexp::compile(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid(&path.child("pattern"), pattern, &why);
    }
}

/// A schema under a junctor, which may hold value validations alone.
fn nested(source: &Value, skip_any_of: bool, level: Level, path: &Path<'_>, errors: &mut Errors) {
    values(source, skip_any_of, false, level, path, errors);
    if source["items"].as_object().is_some() {
        nested(&source["items"], false, level, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, schema) in source["properties"].members() {
        nested(schema, false, Level::Field, &properties.key(name), errors);
    }
    const FORBIDDEN: [(&str, &str); 13] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (name, why) in FORBIDDEN {
        let is_set = match name {
            "additionalProperties" => !source[name].is_null(),
            _ => !is_zero(&source[name]),
        };
        if is_set {
            errors.forbidden(&path.child(name), why);
        }
    }
    if !source["properties"]["metadata"].is_null() {
        errors.forbidden(&properties.key("metadata"), "must not be specified in a nested context");
    }
}

/// What a junctor names must be there outside of it, too.
fn complete(
    nested: &Value,
    structure: &Value,
    structure_path: &Path<'_>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let because = |path: &Path<'_>| format!("because it is defined in {path}");
    if structure.is_null() {
        errors.required(structure_path, &because(path));
        return;
    }
    for_junctors(nested, path, &mut |inner, place| complete(inner, structure, structure_path, place, errors));
    if nested["items"].as_object().is_some() {
        let place = structure_path.child("items");
        complete(&nested["items"], &structure["items"], &place, &path.child("items"), errors);
    }
    let (properties, structure_properties) = (path.child("properties"), structure_path.child("properties"));
    for (name, schema) in nested["properties"].members() {
        let (place, structure_place) = (properties.key(name), structure_properties.key(name));
        match &structure["properties"][name] {
            Value::Null => errors.required(&structure_place, &because(&place)),
            inner => complete(schema, inner, &structure_place, &place, errors),
        }
    }
}

/// Whether all defaults are valid by their own schemas, and, where
/// `requires_pruned`, hold no unknown fields.
pub fn check_defaults(
    types: &Types,
    schema: &Schema,
    requires_pruned: bool,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let around = Around { resource: schema, way: Vec::new(), in_metadata: false };
    Defaults { types, requires_pruned, errors }.check(schema, &around, path);
}

/// Where a schema stands in the resource that it belongs to.
struct Around<'a> {
    resource: &'a Schema,
    /// From the resource.
    way: Vec<Step>,
    /// At or below apiVersion, kind or metadata.
    in_metadata: bool,
}

impl<'a> Around<'a> {
    fn below(&self, step: Step, in_metadata: bool) -> Self {
        let way = self.way.iter().cloned().chain([step]).collect();
        Self { resource: self.resource, way, in_metadata: self.in_metadata || in_metadata }
    }

    /// A resource that holds nothing but `value` here.
    fn resource_with(&self, value: Value) -> Value {
        let mut made = wrapped(value, &self.way);
        for (name, text) in [("kind", "Validation"), ("apiVersion", "validation/v1")] {
            if made.as_object().is_some_and(|object| !object.contains(name)) {
                made.set(name, text);
            }
        }
        made
    }
}

struct Defaults<'e> {
    types: &'e Types,
    requires_pruned: bool,
    errors: &'e mut Errors,
}

impl Defaults<'_> {
    fn check<'a>(&mut self, schema: &'a Schema, around: &Around<'a>, path: &Path<'_>) {
        let own = Around { resource: schema, way: Vec::new(), in_metadata: false };
        let around = if schema.embedded { &own } else { around };
        if let Some(default) = &schema.default {
            let here = path.child("default");
            let mut found = Errors::new();
            if around.in_metadata {
                self.of_metadata(default, around, &here, &mut found);
            } else {
                self.of_body(default, schema, &here, &mut found);
            }
            if found.is_empty() {
                validate_lists(default, schema, &here, &mut found);
            }
            if found.is_empty() {
                validate(default, schema, &here, &mut found);
            }
            self.errors.append(found);
        }
        if let Some(items) = &schema.items {
            self.check(items, &around.below(Step::Item, false), &path.child("items"));
        }
        let properties = path.child("properties");
        for (name, property) in &schema.properties {
            let in_metadata = schema.embedded && is_meta(name);
            self.check(
                property,
                &around.below(Step::Member(name.clone()), in_metadata),
                &properties.key(name),
            );
        }
    }

    /// A part of a resource's metadata: valid where the whole is.
    fn of_metadata(&self, default: &Value, around: &Around<'_>, path: &Path<'_>, found: &mut Errors) {
        let mut whole = around.resource_with(default.clone());
        let mut wrong = Errors::new();
        match coerce_embedded(self.types, around.resource, &mut whole, true, &Path::Root) {
            Ok(()) => validate_embedded(&whole, around.resource, true, &Path::Root, &mut wrong),
            Err(errors) => wrong = errors,
        }
        if !wrong.is_empty() {
            found.invalid(path, default.clone(), &format!("must result in valid metadata: {wrong}"));
        }
    }

    fn of_body(&mut self, default: &Value, schema: &Schema, path: &Path<'_>, found: &mut Errors) {
        let mut pruned = default.clone();
        prune(&mut pruned, schema, schema.embedded);
        let is_pruned = pruned == *default;
        let mut coerced = default.clone();
        let outcome = coerce_embedded(self.types, schema, &mut coerced, schema.embedded, path);
        if self.requires_pruned && !is_pruned {
            // Told as it is when its metadata has been decoded.
            self.errors.invalid(path, coerced.clone(), "must not have unknown fields");
        }
        match outcome {
            Ok(()) => validate_embedded(&coerced, schema, schema.embedded, path, found),
            Err(errors) => found.append(errors),
        }
    }
}
