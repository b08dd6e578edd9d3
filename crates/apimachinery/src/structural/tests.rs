//! What schemas make of trees, case by case.

use super::*;
use crate::field::{Errors, Path};
use crate::{Value, value};

fn schema() -> Schema {
    load(&value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 3},
        "s": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a"},
        "e": {"type": "string", "enum": ["x", "y"]},
        "l": {"type": "array", "maxItems": 2, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "f": {"type": "string", "format": "date-time"},
        "b": {"type": "boolean"},
        "x": {"x-kubernetes-int-or-string": true},
        "o": {"type": "object", "required": ["must"], "properties": {"must": {"type": "string"}}},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        "lm": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
        "one": {"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 3}]}
    }}}}))
}

fn errors_of(spec: Value) -> Vec<String> {
    let schema = schema();
    let object = value!({"spec": spec});
    let mut errors = Errors::new();
    validate(&object, &schema, &Path::Root, &mut errors);
    validate_lists(&object, &schema, &Path::Root, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn values_are_refused_in_the_words_of_upstream() {
    let cases: [(Value, &[&str]); 19] = [
        (
            value!({"n": 0}),
            &["spec.n: Invalid value: 0: spec.n in body should be greater than or equal to 1"],
        ),
        (
            value!({"n": 10}),
            &[
                "spec.n: Invalid value: 10: spec.n in body should be a multiple of 3",
                "spec.n: Invalid value: 10: spec.n in body should be less than or equal to 9",
            ],
        ),
        (
            value!({"n": 3.5}),
            &[
                "spec.n: Invalid value: \"number\": spec.n in body must be of type integer: \"number\"",
                "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.n",
                "spec.n: Invalid value: 3.5: spec.n in body should be a multiple of 3",
            ],
        ),
        (
            value!({"n": "3"}),
            &["spec.n: Invalid value: \"string\": spec.n in body must be of type integer: \"string\""],
        ),
        (
            value!({"s": "a"}),
            &["spec.s: Invalid value: \"a\": spec.s in body should be at least 2 chars long"],
        ),
        (value!({"s": "abcde"}), &["spec.s: Too long: may not be more than 4 bytes"]),
        (value!({"s": "bb"}), &["spec.s: Invalid value: \"bb\": spec.s in body should match '^a'"]),
        (value!({"e": "z"}), &["spec.e: Unsupported value: \"z\": supported values: \"x\", \"y\""]),
        (value!({"l": ["a", "b", "c"]}), &["spec.l: Too many: 3: must have at most 2 items"]),
        (value!({"l": ["a", "a"]}), &["spec.l[1]: Duplicate value: \"a\""]),
        (
            value!({"f": "now"}),
            &["spec.f: Invalid value: \"now\": spec.f in body must be of type date-time: \"now\""],
        ),
        (
            value!({"x": 1.5}),
            &["spec.x: Invalid value: \"number\": spec.x in body must be of type integer,string: \"number\""],
        ),
        (value!({"o": {}}), &["spec.o.must: Required value"]),
        (
            value!({"m": {"a": "b"}}),
            &["spec.m.a: Invalid value: \"string\": spec.m.a in body must be of type integer: \"string\""],
        ),
        (value!({"lm": [{"k": "a"}, {"k": "a"}]}), &["spec.lm[1]: Duplicate value: {\"k\":\"a\"}"]),
        (value!({"lm": [{}]}), &["spec.lm[0].k: Required value"]),
        (
            value!({"one": 4}),
            &[
                "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid",
                "spec.one: Invalid value: 4: spec.one in body should be greater than or equal to 5",
            ],
        ),
        (
            "text".into(),
            &["spec: Invalid value: \"string\": spec in body must be of type object: \"string\""],
        ),
        (value!({"n": 9, "s": "abc", "e": "x", "l": ["a"], "x": "any", "m": {"a": 1}, "one": 7}), &[]),
    ];
    for (spec, expected) in cases {
        assert_eq!(errors_of(spec.clone()), expected, "{spec:?}");
    }
}

#[test]
fn numbers_nulls_and_sizes_are_told_as_upstream_tells_them() {
    let cases: [(Value, Value, &[&str]); 5] = [
        (
            value!({"type": "integer"}),
            value!(1e30),
            &[
                "v: Invalid value: \"number\": v in body must be of type integer: \"number\"",
                "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in v",
            ],
        ),
        (
            value!({"type": "number", "multipleOf": 2.5}),
            value!(1e30),
            &["v: Invalid value: 1e+30: v in body should be a multiple of 2.5"],
        ),
        (value!({"type": "number", "multipleOf": 0.1}), value!(0.3), &[]),
        (
            value!({"type": "string", "nullable": true, "enum": ["a", null]}),
            Value::Null,
            &["v: Unsupported value: null: supported values: \"a\", \"null\""],
        ),
        (
            value!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}}),
            value!({"a": "b", "c": 1}),
            &[
                "v: Too many: 2: must have at most 1 item",
                "v.c: Invalid value: \"integer\": v.c in body must be of type string: \"integer\"",
            ],
        ),
    ];
    for (property, v, told) in cases {
        let schema = load(&value!({"type": "object", "properties": {"v": property.clone()}}));
        let mut errors = Errors::new();
        validate(&value!({"v": v}), &schema, &Path::Root, &mut errors);
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(found, told, "{property:?}");
    }
}

#[test]
fn what_an_update_leaves_alone_is_let_be() {
    let schema = load(&value!({"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 3},
        "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items":
            {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 1}}}}
    }}));
    let old = value!({"a": "long", "l": [{"k": "x", "v": 5}, {"k": "y", "v": 1}]});
    let count = |new: Value| {
        let mut errors = Errors::new();
        validate_update(&new, &old, &schema, &Path::Root, &mut errors);
        errors.len()
    };
    assert_eq!(count(old.clone()), 0);
    assert_eq!(count(value!({"a": "long", "l": [{"k": "y", "v": 0}, {"k": "x", "v": 5}]})), 0);
    assert_eq!(count(value!({"a": "other"})), 1);
    assert_eq!(count(value!({"a": "long", "l": [{"k": "x", "v": 6}]})), 1);
}

#[test]
fn defaults_fill_what_is_absent_or_a_meaningless_null() {
    let schema = load(&value!({"type": "object", "properties": {"spec": {"type": "object", "default": {},
    "properties": {
        "n": {"type": "integer", "default": 5},
        "o": {"type": "object", "default": {"a": "z"},
            "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "bee"}}},
        "l": {"type": "array", "items":
            {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
        "nd": {"type": "string", "nullable": true, "default": "d"}
    }}}}));
    let cases = [
        (value!({}), value!({"spec": {"n": 5, "o": {"a": "z", "b": "bee"}, "nd": "d"}})),
        (
            value!({"spec": {"n": null, "nd": null, "o": {}, "l": [{}]}}),
            value!({"spec": {"n": 5, "nd": null, "o": {"b": "bee"}, "l": [{"p": "TCP"}]}}),
        ),
    ];
    for (mut object, expected) in cases {
        default(&mut object, &schema);
        assert_eq!(object, expected);
    }
}

#[test]
fn unknown_fields_go() {
    let schema = load(&value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"typed": {"type": "object", "properties": {}}}},
        "m": {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string"}}}}
    }}}}));
    let mut object = value!({
        "kind": "Gadget", "metadata": {"name": "g"}, "top": 1,
        "spec": {
            "a": "x", "b": 1, "open": {"any": [{"deep": 1}], "typed": {"gone": 1}},
            "m": {"x": {"k": "v", "lost": 1}}
        }
    });
    prune(&mut object, &schema, true);
    assert_eq!(
        object,
        value!({
            "kind": "Gadget", "metadata": {"name": "g"},
            "spec": {"a": "x", "open": {"any": [{"deep": 1}], "typed": {}}, "m": {"x": {"k": "v"}}}
        })
    );
}

#[test]
fn schemas_must_be_structural() {
    let cases: [(Value, &[&str]); 8] = [
        (value!({"type": "string"}), &["s.type: Invalid value: \"string\": must be object at the root"]),
        (value!({}), &["s.type: Required value: must not be empty at the root"]),
        (
            value!({"type": "object", "properties": {"spec": {"type": "array"}}}),
            &["s.properties[spec].items: Required value: must be specified"],
        ),
        (
            value!({"type": "object", "anyOf": [{"properties": {"b": {"type": "string"}}}]}),
            &[
                "s.anyOf[0].properties[b].type: Forbidden: must be empty to be structural",
                "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]",
            ],
        ),
        (
            value!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {
                "labels": {"type": "object"}}}}}),
            &[
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but \
               metadata is implicitly specified",
            ],
        ),
        (
            value!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
            &[
                "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error \
               parsing regexp: missing closing ): `(`",
            ],
        ),
        (
            value!({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": true, "anyOf": [
                {"type": "integer"}, {"type": "string"}]}}}),
            &[],
        ),
        (value!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), &[]),
    ];
    for (source, expected) in cases {
        let errors = check_structural(&source, &Path::Root.child("s"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{source:?}");
    }
}

#[test]
fn field_paths_are_resolved() {
    let schema = load(&value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        "x.y": {"type": "boolean"}
    }}}}));
    let found =
        |text: &str, brackets: bool| field_path(text, &schema, brackets).map(|(_, schema)| schema.kind);
    assert_eq!(found(".spec.a", false), Ok(Kind::String));
    assert_eq!(found(".spec.m['k']", true), Ok(Kind::Integer));
    assert_eq!(found(".spec['x.y']", true), Ok(Kind::Boolean));
    assert_eq!(found(".spec['a']", false), Err("array notation is not allowed".into()));
    assert_eq!(found("spec.a", false), Err("expected [ or . but got: spec".into()));
    assert_eq!(found(".spec.none", false), Err("does not refer to a valid field".into()));
}

#[test]
fn apply_learns_how_lists_merge() {
    let schema = schema();
    let spec = schema.property("spec").unwrap();
    assert_eq!(spec.merge(), Merge::Members);
    assert_eq!(spec.property("l").unwrap().merge(), Merge::Set);
    assert_eq!(spec.property("lm").unwrap().merge(), Merge::Keyed(&["k".into()]));
    assert_eq!(spec.property("n").unwrap().merge(), Merge::Whole);
}

#[test]
fn what_several_schemas_find_is_told_once() {
    let told = |property: Value, given: Value| {
        let schema = load(&value!({"type": "object", "properties": {"a": property}}));
        let mut errors = Errors::new();
        validate(&value!({"a": given}), &schema, &Path::Root, &mut errors);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = "<nil>: Invalid value: \"\": \"a\" must validate all the schemas (allOf). None validated";
    for (property, given, expected) in [
        (
            value!({"type": "string", "allOf": [{"maxLength": 1}, {"maxLength": 1}]}),
            value!("xy"),
            vec!["a: Too long: may not be more than 1 byte", all],
        ),
        (
            value!({"type": "number", "multipleOf": 0.1}),
            value!(1),
            vec!["a: Invalid value: 0: factor MultipleOf declared for a must be positive: 0"],
        ),
        (value!({"type": "integer", "maximum": 5}), value!(5), vec![]),
        (
            value!({"type": "integer", "maximum": 5}),
            value!(9_223_372_036_854_775_807_i64),
            vec!["a: Invalid value: 9223372036854775807: a in body should be less than or equal to 5"],
        ),
        // Go converts the value to the type of what is allowed.
        (value!({"type": "number", "enum": [1]}), value!(1.5), vec![]),
        (value!({"x-kubernetes-int-or-string": true, "enum": ["a"]}), value!(97), vec![]),
        (
            value!({"type": "number", "maximum": 5}),
            value!(1e19),
            vec!["a: Invalid value: 1e+19: a in body should be less than or equal to 5"],
        ),
    ] {
        assert_eq!(told(property, given.clone()), expected, "{given:?}");
    }
}
