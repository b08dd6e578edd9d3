//! Definitions that are refused, with upstream's words.

use apimachinery::{Value, value};

use super::*;

fn definition(versions: Value) -> Value {
    value!({
        "metadata": {"name": "as.ex.com"},
        "spec": {
            "group": "ex.com", "scope": "Namespaced",
            "names": {"plural": "as", "singular": "a", "kind": "A", "listKind": "AList"},
            "versions": versions, "conversion": {"strategy": "None"}
        },
        "status": {"storedVersions": ["v1"]}
    })
}

fn one(schema: Value) -> Value {
    definition(value!([
        {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}
    ]))
}

fn errors_of(definition: &Value) -> Vec<String> {
    validate_create(definition).iter().map(ToString::to_string).collect()
}

#[test]
fn a_plain_definition_is_taken() {
    assert_eq!(errors_of(&one(value!({"type": "object"}))), Vec::<String>::new());
}

#[test]
fn versions_have_one_that_is_stored_and_names_of_their_own() {
    let twice = definition(value!([
        {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
        {"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}}
    ]));
    let shown = |storage: bool| {
        format!(
            "{{\"Name\":\"v1\",\"Served\":true,\"Storage\":{storage},\"Deprecated\":false,\
             \"DeprecationWarning\":null,\"Schema\":null,\"Subresources\":null,\
             \"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}"
        )
    };
    assert_eq!(
        errors_of(&twice),
        [format!(
            "spec.versions: Invalid value: [{},{}]: must contain unique version names",
            shown(true),
            shown(false)
        )]
    );
}

#[test]
fn what_all_versions_share_is_named_at_the_top() {
    let bad = value!({"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "odd"}}}});
    let good = value!({"openAPIV3Schema": {"type": "object"}});
    let versions = |second: Value| {
        definition(value!([
            {"name": "v1", "served": true, "storage": true, "schema": bad.clone()},
            {"name": "v2", "served": true, "storage": false, "schema": second}
        ]))
    };
    let words = "Unsupported value: \"odd\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"";
    assert_eq!(
        errors_of(&versions(bad.clone())),
        [format!("spec.validation.openAPIV3Schema.properties[a].type: {words}")]
    );
    assert_eq!(
        errors_of(&versions(good)),
        [format!("spec.versions[0].schema.openAPIV3Schema.properties[a].type: {words}")]
    );
}

#[test]
fn rules_must_compile_and_be_cheap() {
    let rule = |rule: Value| {
        one(value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "integer"},
            "l": {"type": "array", "items": {"type": "string"}}
        }, "x-kubernetes-validations": [rule]}}}))
    };
    let place = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]";
    assert_eq!(errors_of(&rule(value!({"rule": "self.a == 1"}))), Vec::<String>::new());
    assert_eq!(
        errors_of(&rule(value!({"rule": ""}))),
        [format!("{place}.rule: Required value: rule is not specified")]
    );
    assert_eq!(
        errors_of(&rule(value!({"rule": "1"}))),
        [format!(
            "{place}.rule: Invalid value: {{\"Rule\":\"1\",\"Message\":\"\",\"MessageExpression\":\"\",\
             \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}: cel expression must evaluate to a bool"
        )]
    );
    let expensive = "self.l.all(x, self.l.all(y, self.l.all(z, x == y && y == z)))";
    let errors = errors_of(&rule(value!({"rule": expensive})));
    assert_eq!(errors.len(), 3);
    assert!(
        errors[0].contains("estimated rule cost exceeds budget by factor of more than 100x"),
        "{errors:?}"
    );
}

#[test]
fn groups_of_the_community_need_approval() {
    let mut object = one(value!({"type": "object"}));
    object.set_at(&["spec", "group"], "apps.k8s.io");
    object.set_at(&["metadata", "name"], "as.apps.k8s.io");
    assert_eq!(
        errors_of(&object),
        [
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval \
          annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"
        ]
    );
    object.entry("metadata").set("annotations", value!({"api-approved.kubernetes.io": "unapproved, a test"}));
    assert!(errors_of(&object).is_empty());
    assert!(!is_protected("ex.com") && is_protected("k8s.io") && !is_protected("notk8s.io"));
}

#[test]
fn defaults_keep_the_rules_of_their_place() {
    let rule = |rule: &str| value!([{"rule": rule}]);
    let text = |default: &str, rules: Value| value!({"type": "string", "default": default, "x-kubernetes-validations": rules});
    let place = "spec.validation.openAPIV3Schema.properties[a].default";
    for (property, told) in [
        (text("x", rule("self == 'x'")), None),
        (
            text("x", rule("self == 'y'")),
            Some(format!("{place}: Invalid value: \"x\": failed rule: self == 'y'")),
        ),
        (
            value!({"type": "object", "default": {"n": 1}, "properties": {
                "n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 5"}]}
            }}),
            Some(format!("{place}.n: Invalid value: 1: failed rule: self > 5")),
        ),
        (
            text("x", value!([{"rule": "self == oldSelf.orValue('q')", "optionalOldSelf": true}])),
            Some(format!("{place}: Invalid value: \"x\": failed rule: self == oldSelf.orValue('q')")),
        ),
    ] {
        let schema = value!({"type": "object", "properties": {"a": property}});
        assert_eq!(errors_of(&one(schema)), told.into_iter().collect::<Vec<_>>());
    }
    let root = "spec.validation.openAPIV3Schema.default";
    assert_eq!(
        errors_of(&one(value!({"type": "object", "default": {}}))),
        [format!("{root}.apiVersion: Required value"), format!("{root}.kind: Required value")]
    );
}

#[test]
fn names_that_are_to_be_generated_are_those_of_the_definition() {
    let mut object = one(value!({"type": "object"}));
    object.entry("metadata").set("generateName", "as.ex.");
    let told = "metadata.generateName: Invalid value: \"as.ex.\": must be spec.names.plural+\".\"+spec.group";
    assert_eq!(errors_of(&object), [told]);
}

#[test]
fn fields_are_selected_by_a_schema_alone() {
    let schema = value!({"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "string"}}}});
    let object = definition(value!([
        {"name": "v1", "served": true, "storage": true, "schema": schema},
        {"name": "v2", "served": true, "storage": false, "selectableFields": [{"jsonPath": ".a"}]}
    ]));
    let told = "spec.versions[1].selectableFields: Invalid value: \"\": may only be set when \
                `version.schema.openAPIV3Schema` is not included";
    assert!(errors_of(&object).contains(&told.to_owned()), "{:?}", errors_of(&object));
}
