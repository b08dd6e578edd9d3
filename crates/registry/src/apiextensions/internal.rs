//! A definition's spec as upstream's internal type has it: what all versions
//! have in common stands once at the top, which is what messages name.

use std::borrow::Cow;

use apimachinery::{Object, Value};

/// What may stand at the top or with each version.
pub(super) struct Spec<'a> {
    pub source: &'a Value,
    /// `{openAPIV3Schema: …}`.
    pub validation: Part<'a>,
    pub subresources: Part<'a>,
    pub columns: Part<'a>,
    pub fields: Part<'a>,
}

/// One part of the versions.
pub(super) struct Part<'a> {
    name: &'static str,
    versions: &'a [Value],
    /// All versions have the same.
    pub is_shared: bool,
}

impl<'a> Part<'a> {
    fn of(source: &'a Value, name: &'static str) -> Self {
        let versions = source["versions"].items();
        let first = versions.first().map(|version| &version[name]);
        let is_shared = versions.iter().all(|version| Some(&version[name]) == first);
        Self { name, versions, is_shared }
    }

    /// What stands at the top; null where versions differ.
    pub fn top(&self) -> &'a Value {
        match self.versions.first() {
            Some(first) if self.is_shared => first.get(self.name),
            _ => &apimachinery::value::NULL,
        }
    }

    /// What stands with a version; null where it stands at the top.
    pub fn of_version(&self, version: &'a Value) -> &'a Value {
        if self.is_shared { &apimachinery::value::NULL } else { version.get(self.name) }
    }
}

impl<'a> Spec<'a> {
    pub fn of(source: &'a Value) -> Self {
        Self {
            source,
            validation: Part::of(source, "schema"),
            subresources: Part::of(source, "subresources"),
            columns: Part::of(source, "additionalPrinterColumns"),
            fields: Part::of(source, "selectableFields"),
        }
    }

    /// `spec.versions` as messages show it.
    pub fn versions(&self) -> Value {
        let Some(versions) = self.source["versions"].as_array() else { return Value::Null };
        Value::Array(versions.iter().map(|version| self.version(version)).collect())
    }

    fn version(&self, version: &'a Value) -> Value {
        let schema = self.validation.of_version(version);
        let subresources = self.subresources.of_version(version);
        let mut out = Object::new();
        out.push_new("Name", version["name"].text());
        out.push_new("Served", version["served"].is_true());
        out.push_new("Storage", version["storage"].is_true());
        out.push_new("Deprecated", version["deprecated"].is_true());
        out.push_new("DeprecationWarning", version["deprecationWarning"].clone());
        out.push_new(
            "Schema",
            pointer(schema, |schema| {
                let mut out = Object::new();
                out.push_new("OpenAPIV3Schema", pointer(&schema["openAPIV3Schema"], json_schema));
                Value::Object(out)
            }),
        );
        out.push_new("Subresources", pointer(subresources, internal_subresources));
        out.push_new(
            "AdditionalPrinterColumns",
            list(self.columns.of_version(version), |column| {
                let mut out = Object::new();
                for name in ["Name", "Type", "Format", "Description"] {
                    out.push_new(name, column[&*name.to_lowercase()].text());
                }
                out.push_new("Priority", column["priority"].as_i64().unwrap_or(0));
                out.push_new("JSONPath", column["jsonPath"].text());
                Value::Object(out)
            }),
        );
        out.push_new(
            "SelectableFields",
            list(self.fields.of_version(version), |field| {
                let mut out = Object::new();
                out.push_new("JSONPath", field["jsonPath"].text());
                Value::Object(out)
            }),
        );
        Value::Object(out)
    }
}

fn pointer(value: &Value, make: impl Fn(&Value) -> Value) -> Value {
    if value.is_null() { Value::Null } else { make(value) }
}

fn list(value: &Value, make: impl Fn(&Value) -> Value) -> Value {
    match value.as_array() {
        Some(items) => Value::Array(items.iter().map(make).collect()),
        None => Value::Null,
    }
}

fn map(value: &Value, make: impl Fn(&Value) -> Value) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    let mut out: Object =
        value.members().map(|(name, member)| (Cow::Owned(name.to_owned()), make(member))).collect();
    out.sort();
    Value::Object(out)
}

fn internal_subresources(subresources: &Value) -> Value {
    let mut out = Object::new();
    out.push_new("Status", pointer(&subresources["status"], |_| Value::object()));
    out.push_new(
        "Scale",
        pointer(&subresources["scale"], |scale| {
            let mut out = Object::new();
            out.push_new("SpecReplicasPath", scale["specReplicasPath"].text());
            out.push_new("StatusReplicasPath", scale["statusReplicasPath"].text());
            out.push_new("LabelSelectorPath", scale["labelSelectorPath"].clone());
            Value::Object(out)
        }),
    );
    Value::Object(out)
}

/// A rule as messages show it.
pub(super) fn rule(rule: &Value) -> Value {
    let mut out = Object::new();
    out.push_new("Rule", rule["rule"].text());
    out.push_new("Message", rule["message"].text());
    out.push_new("MessageExpression", rule["messageExpression"].text());
    out.push_new("Reason", rule["reason"].clone());
    out.push_new("FieldPath", rule["fieldPath"].text());
    out.push_new("OptionalOldSelf", rule["optionalOldSelf"].clone());
    Value::Object(out)
}

/// How a member of JSONSchemaProps is written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Truth,
    /// A pointer to a plain value, or a list of such.
    Plain,
    Schema,
    Schemas,
    Map,
    SchemaOrBool,
    SchemaOrArray,
    Rules,
}

/// The members of the internal JSONSchemaProps, in their order.
const MEMBERS: [(&str, &str, Form); 43] = [
    ("ID", "id", Form::Text),
    ("Schema", "$schema", Form::Text),
    ("Ref", "$ref", Form::Plain),
    ("Description", "description", Form::Text),
    ("Type", "type", Form::Text),
    ("Nullable", "nullable", Form::Truth),
    ("Format", "format", Form::Text),
    ("Title", "title", Form::Text),
    ("Default", "default", Form::Plain),
    ("Maximum", "maximum", Form::Plain),
    ("ExclusiveMaximum", "exclusiveMaximum", Form::Truth),
    ("Minimum", "minimum", Form::Plain),
    ("ExclusiveMinimum", "exclusiveMinimum", Form::Truth),
    ("MaxLength", "maxLength", Form::Plain),
    ("MinLength", "minLength", Form::Plain),
    ("Pattern", "pattern", Form::Text),
    ("MaxItems", "maxItems", Form::Plain),
    ("MinItems", "minItems", Form::Plain),
    ("UniqueItems", "uniqueItems", Form::Truth),
    ("MultipleOf", "multipleOf", Form::Plain),
    ("Enum", "enum", Form::Plain),
    ("MaxProperties", "maxProperties", Form::Plain),
    ("MinProperties", "minProperties", Form::Plain),
    ("Required", "required", Form::Plain),
    ("Items", "items", Form::SchemaOrArray),
    ("AllOf", "allOf", Form::Schemas),
    ("OneOf", "oneOf", Form::Schemas),
    ("AnyOf", "anyOf", Form::Schemas),
    ("Not", "not", Form::Schema),
    ("Properties", "properties", Form::Map),
    ("AdditionalProperties", "additionalProperties", Form::SchemaOrBool),
    ("PatternProperties", "patternProperties", Form::Map),
    ("Dependencies", "dependencies", Form::Plain),
    ("AdditionalItems", "additionalItems", Form::SchemaOrBool),
    ("Definitions", "definitions", Form::Map),
    ("ExternalDocs", "externalDocs", Form::Plain),
    ("Example", "example", Form::Plain),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Form::Plain),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Form::Truth),
    ("XIntOrString", "x-kubernetes-int-or-string", Form::Truth),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Form::Plain),
    ("XListType", "x-kubernetes-list-type", Form::Plain),
    ("XMapType", "x-kubernetes-map-type", Form::Plain),
];

/// A schema as messages show it.
pub(super) fn json_schema(schema: &Value) -> Value {
    let mut out = Object::new();
    let members = MEMBERS.iter().copied().chain([("XValidations", "x-kubernetes-validations", Form::Rules)]);
    for (name, json, form) in members {
        let value = schema.get(json);
        out.push_new(
            name,
            match form {
                Form::Text => value.text().into(),
                Form::Truth => value.is_true().into(),
                Form::Plain => value.clone(),
                Form::Schema => pointer(value, json_schema),
                Form::Schemas => list(value, json_schema),
                Form::Map => map(value, json_schema),
                Form::Rules => list(value, rule),
                Form::SchemaOrBool => pointer(value, |value| {
                    let mut out = Object::new();
                    out.push_new("Allows", value.as_bool().unwrap_or(true));
                    out.push_new("Schema", value.as_object().map_or(Value::Null, |_| json_schema(value)));
                    Value::Object(out)
                }),
                Form::SchemaOrArray => pointer(value, |value| {
                    let mut out = Object::new();
                    out.push_new("Schema", value.as_object().map_or(Value::Null, |_| json_schema(value)));
                    out.push_new("JSONSchemas", list(value, json_schema));
                    Value::Object(out)
                }),
            },
        );
    }
    Value::Object(out)
}

/// The first member, in upstream's order, that a root schema may not have
/// where the status subresource is on.
pub(super) fn forbidden_at_root(schema: &Value) -> bool {
    MEMBERS.iter().any(|(name, json, form)| {
        let value = schema.get(json);
        let is_set = match form {
            Form::Text => !value.text().is_empty(),
            Form::Truth => value.is_true(),
            _ => !value.is_null(),
        };
        is_set && *name != "Type" && !ALLOWED_AT_ROOT.contains(name)
    })
}

/// In upstream's order, which its message has.
pub(super) const ALLOWED_AT_ROOT: [&str; 22] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];
