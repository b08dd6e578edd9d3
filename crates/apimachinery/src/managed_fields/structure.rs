//! The owned shape of a custom resource, made once from its structural schema
//! (as kube-openapi's `schemaconv` reads it).
//!
//! Nothing here validates or prunes: only how values divide.

use std::collections::BTreeMap;

use super::shape::{Atomic, Scalar};
use crate::Value;
use crate::schema::{ListType, Type, Types};

/// How values of a structural schema divide.
#[derive(Clone, Debug, PartialEq)]
pub enum Structure {
    /// By what is there: no schema, or `x-kubernetes-preserve-unknown-fields`.
    Deduced,
    Scalar(Scalar),
    /// A type of the facts: the metadata of an object.
    BuiltIn(Type),
    List {
        kind: ListType,
        /// `x-kubernetes-list-map-keys`.
        keys: Vec<String>,
        item: Box<Structure>,
    },
    Object {
        fields: BTreeMap<String, Named>,
        /// Members that are not among the fields.
        members: Members,
        atomic: Atomic,
    },
}

/// A property.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub structure: Structure,
    /// The schema's `default`.
    pub default: Option<Value>,
}

/// What an object may hold beside its properties.
#[derive(Clone, Debug, PartialEq)]
pub enum Members {
    None,
    Any,
    Of(Box<Structure>),
}

impl Structure {
    /// The structure of a custom resource by the `openAPIV3Schema` of one of
    /// its versions.
    pub fn of_resource(types: &Types, schema: &Value) -> Self {
        let mut made = Self::of_schema(types, schema, false);
        made.complete(types);
        made
    }

    /// A schema within one, `preserves` where unknown fields around it are kept.
    fn of_schema(types: &Types, schema: &Value, preserves: bool) -> Self {
        let preserves = preserves || schema["x-kubernetes-preserve-unknown-fields"].is_true();
        let properties = &schema["properties"];
        match schema["type"].text() {
            "" if properties.members().next().is_none() => Structure::Deduced,
            "" | "object" => {
                let mut made = Self::object(types, schema, preserves);
                if schema["x-kubernetes-embedded-resource"].is_true() {
                    made.complete(types);
                }
                made
            }
            "array" => Structure::List {
                kind: match schema["x-kubernetes-list-type"].text() {
                    "set" => ListType::Set,
                    "map" => ListType::Map,
                    _ => ListType::Atomic,
                },
                keys: schema["x-kubernetes-list-map-keys"]
                    .items()
                    .iter()
                    .map(|key| key.text().to_owned())
                    .collect(),
                item: Box::new(Self::of_schema(types, &schema["items"], preserves)),
            },
            "integer" | "number" => Structure::Scalar(Scalar::Number),
            "boolean" => Structure::Scalar(Scalar::Bool),
            "string" => match schema["format"].text() {
                "" | "byte" => Structure::Scalar(Scalar::String),
                _ => Structure::Scalar(Scalar::Any),
            },
            _ => Structure::Scalar(Scalar::Any),
        }
    }

    fn object(types: &Types, schema: &Value, preserves: bool) -> Self {
        let fields: BTreeMap<String, Named> = schema["properties"]
            .members()
            .map(|(name, property)| {
                let default = Some(property["default"].clone()).filter(|default| !default.is_null());
                (name.to_owned(), Named { structure: Self::of_schema(types, property, preserves), default })
            })
            .collect();
        let members = match &schema["additionalProperties"] {
            Value::Null if preserves || fields.is_empty() => Members::Any,
            Value::Null | Value::Bool(false) => Members::None,
            Value::Bool(true) => Members::Any,
            other => Members::Of(Box::new(Self::of_schema(types, other, preserves))),
        };
        let atomic =
            if schema["x-kubernetes-map-type"].text() == "atomic" { Atomic::Yes } else { Atomic::No };
        Structure::Object { fields, members, atomic }
    }

    /// Gives an object the members that every object of the API has.
    fn complete(&mut self, types: &Types) {
        let Structure::Object { fields, .. } = self else { return };
        let mut name = |name: &str, structure| {
            fields.insert(name.to_owned(), Named { structure, default: None });
        };
        name("apiVersion", Structure::Scalar(Scalar::String));
        name("kind", Structure::Scalar(Scalar::String));
        if let Some(metadata) = types.object_meta() {
            name("metadata", Structure::BuiltIn(Type::Struct(metadata)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Apply, Shape, Single, Write, apply};
    use super::*;
    use crate::managed_fields::Set;
    use crate::value;

    const FACTS: &str = "\
S\tapimachinery/pkg/apis/meta/v1.ObjectMeta
F\tname\tstring\t1\te
F\tlabels\tmap[string]string\t2\te
F\tmanagedFields\t[]interface\t3\te
";

    fn cog() -> Value {
        value!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "byName": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
                    "items": {"type": "object", "properties": {
                        "name": {"type": "string"}, "v": {"type": "integer"},
                        "port": {"type": "integer", "default": 80}
                    }}
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "plain": {"type": "array", "items": {"type": "string"}},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
                "parts": {"type": "object", "additionalProperties": {"type": "object", "properties": {"n": {"type": "number"}}}},
                "either": {"x-kubernetes-int-or-string": true},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"on": {"type": "boolean"}}}
            }}
        }})
    }

    fn applied(config: Value) -> Result<String, String> {
        let types = Types::load(FACTS).expect("the facts of this test");
        let structure = Structure::of_resource(&types, &cog());
        let versions = Single { api_version: "ex.com/v1", shape: Shape::Custom(&types, &structure) };
        let empty = value!({"apiVersion": "ex.com/v1", "kind": "Cog"});
        let mut sent = empty.clone();
        for (name, member) in config.members() {
            sent.set(name.to_owned(), member.clone());
        }
        let reset = Set::new();
        let write =
            Write { manager: "one", api_version: "ex.com/v1", subresource: "", time: "", reset: &reset };
        let request = Apply { config: &sent, force: false, empty: &empty };
        apply(&versions, &empty, request, &write)
            .map(|applied| {
                crate::json::to_string(&applied.object["metadata"]["managedFields"][0]["fieldsV1"])
            })
            .map_err(|status| status.message)
    }

    #[test]
    fn custom_resources_divide_by_their_schema() {
        for (spec, owned) in [
            (
                value!({"byName": [{"name": "a", "v": 1}], "tags": ["x"], "plain": ["p"]}),
                r#"{"f:byName":{"k:{\"name\":\"a\",\"port\":80}":{".":{},"f:name":{},"f:v":{}}},"f:plain":{},"f:tags":{"v:\"x\"":{}}}"#,
            ),
            (
                value!({"whole": {"k": "v"}, "parts": {"a": {"n": 1.5}}, "either": "x"}),
                r#"{"f:either":{},"f:parts":{"f:a":{".":{},"f:n":{}}},"f:whole":{}}"#,
            ),
            (
                value!({"open": {"on": true, "other": {"deep": [1]}}}),
                r#"{"f:open":{"f:on":{},"f:other":{".":{},"f:deep":{}}}}"#,
            ),
        ] {
            let made = applied(value!({"metadata": {"name": "g", "labels": {"l": "1"}}, "spec": spec}));
            let whole = format!("{{\"f:metadata\":{{\"f:labels\":{{\"f:l\":{{}}}}}},\"f:spec\":{owned}}}");
            assert_eq!(made, Ok(whole));
        }
    }

    #[test]
    fn what_a_custom_schema_does_not_have_is_refused() {
        for (spec, why) in [
            (value!({"unknown": 1}), ".spec.unknown: field not declared in schema"),
            (value!({"tags": ["z", "z"]}), ".spec.tags: duplicate entries for key [=\"z\"]"),
            (
                value!({"tags": [{}]}),
                ".spec.tags: element 0: associative list without keys has an element that's a map type",
            ),
            (value!({"open": {"on": "x"}}), ".spec.open.on: expected boolean, got &{x}"),
        ] {
            let refused = applied(value!({"metadata": {"name": "g"}, "spec": spec})).expect_err(why);
            let told = format!("failed to create typed patch object (/g; ex.com/v1, Kind=Cog): {why}");
            assert_eq!(refused, told);
        }
    }

    #[test]
    fn what_becomes_an_object_or_is_none_any_more_changes_whole_and_in_parts() {
        let types = Types::load(FACTS).expect("the facts of this test");
        let structure = Structure::of_resource(
            &types,
            &value!({"type": "object", "properties": {"any": {"x-kubernetes-preserve-unknown-fields": true}}}),
        );
        let shape = Shape::Custom(&types, &structure);
        for (old, new, changed, removed) in [
            (value!(1), value!({"a": 1}), r#"{"f:any":{".":{},"f:a":{}}}"#, "{}"),
            (value!({"a": 1}), value!([1]), r#"{"f:any":{}}"#, r#"{"f:any":{"f:a":{}}}"#),
            (value!(1), value!([1]), r#"{"f:any":{}}"#, "{}"),
        ] {
            let found = super::super::compare(shape, &value!({"any": old}), &value!({"any": new.clone()}));
            let found = found.expect("told apart");
            let text = |set: Set| crate::json::to_string(&set.into_fields_v1());
            assert_eq!((&*text(found.changed), &*text(found.removed)), (changed, removed), "{new:?}");
        }
    }

    #[test]
    fn objects_that_are_there_may_hold_an_item_twice_and_nothing_unknown() {
        let types = Types::load(FACTS).expect("the facts of this test");
        let structure = Structure::of_resource(&types, &cog());
        let shape = Shape::Custom(&types, &structure);
        for (spec, told) in [
            (value!({"tags": ["z", "z"]}), Ok(())),
            (value!({"none": 1}), Err(".spec.none: field not declared in schema".to_owned())),
        ] {
            assert_eq!(super::super::fits(shape, &value!({"spec": spec})), told);
        }
    }
}
