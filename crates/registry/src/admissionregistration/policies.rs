//! Admission policies in CEL and their bindings.

use std::collections::BTreeSet;
use std::sync::Arc;

use admission::policies::Environments;
use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::jsonpath::JsonPath;
use apimachinery::{meta, validation};
use apiserver::{Context, Strategy, Version};
use cel::{ObjectType, Type};
use jiff::Timestamp;

use super::matching::{conditions, expression, resources, supported, uncompiled};
use super::parameters;
use crate::changes::{default_struct, keep};
use crate::rules::{internal, required, selector};

/// ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
pub struct Policy;

/// Their bindings.
pub struct Binding;

const MAX_ANNOTATIONS: usize = 20;
/// Bytes of an annotation's expression.
const MAX_ANNOTATION_EXPRESSION: usize = 5 * 1024;

/// Selectors that are not said select everything.
fn default_selectors(parent: &mut Value, field: &'static str) {
    if let Some(matches) = parent.get_mut(field)
        && matches.as_object().is_some()
    {
        default_struct(matches, "namespaceSelector");
        default_struct(matches, "objectSelector");
    }
}

impl Strategy for Policy {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, _: &str, object: &mut Value) {
        default_selectors(object.entry("spec"), "matchConstraints");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        if !old["status"].is_null() {
            keep(object, old, "status");
        }
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        status(&object["status"])
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = policy(object);
        super::not_reserved(object, &mut errors);
        parameters::kind(context, object, &Value::Null, &mut errors);
        errors
    }

    /// What did not change need not be compiled again.
    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = if object["spec"] == old["spec"] { Errors::new() } else { policy(object) };
        parameters::kind(context, object, old, &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::policy(object, now)
    }
}

impl Strategy for Binding {
    fn knows_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, _: &str, object: &mut Value) {
        default_selectors(object.entry("spec"), "matchResources");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = binding(object);
        super::not_reserved(object, &mut errors);
        parameters::reference(context, object, &Value::Null, &mut errors);
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = binding(object);
        parameters::reference(context, object, old, &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::policy_binding(object, now)
    }
}

/// What was found when the expressions' types were checked, and conditions.
fn status(status: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("status");
    let checked = path.child("typeChecking");
    let list = checked.child("expressionWarnings");
    for (at, warning) in status["typeChecking"]["expressionWarnings"].items().iter().enumerate() {
        let here = list.index(at);
        required(&here.child("warning"), &warning["warning"], &mut errors);
        let (field, reference) = (here.child("fieldRef"), warning["fieldRef"].text().trim());
        if reference.is_empty() {
            errors.required(&field, "");
        } else if JsonPath::parse(reference).is_none() {
            errors.invalid(&field, reference, "invalid JSONPath");
        }
    }
    crate::conditions::validate(&path.child("conditions"), &status["conditions"], &mut errors);
    errors
}

fn policy(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = &object["spec"];
    let path = Path::Root.child("spec");
    supported(&path.child("failurePolicy"), &spec["failurePolicy"], &["Fail", "Ignore"], &mut errors);
    if !spec["paramKind"].is_null() {
        param_kind(&path.child("paramKind"), &spec["paramKind"], &mut errors);
    }
    let constraints = path.child("matchConstraints");
    if spec["matchConstraints"].is_null() {
        errors.required(&constraints, "");
    } else {
        resources(&constraints, &spec["matchConstraints"], &mut errors);
        if spec["matchConstraints"]["resourceRules"].items().is_empty() {
            errors.required(&constraints.child("resourceRules"), "");
        }
        if object["kind"].text() == "MutatingAdmissionPolicy" {
            mutable_operations(&constraints, &spec["matchConstraints"], &mut errors);
        }
    }
    let mutates = object["kind"].text() == "MutatingAdmissionPolicy";
    let has_variables = mutates || !spec["variables"].items().is_empty();
    let mut environments = Environments::new(!spec["paramKind"].is_null(), has_variables);
    let list = path.child("matchConditions");
    conditions(&list, &spec["matchConditions"], environments.conditions(), &mut errors);
    for (at, one) in spec["variables"].items().iter().enumerate() {
        variable(&path.child("variables").index(at), one, &mut environments, &mut errors);
    }
    match object["kind"].text() {
        "MutatingAdmissionPolicy" => mutations(&path, spec, &environments, &mut errors),
        _ => validations(&path, spec, meta::name(object), &environments, &mut errors),
    }
    errors
}

/// What is deleted cannot be mutated.
fn mutable_operations(path: &Path<'_>, matches: &Value, errors: &mut Errors) {
    let place = path.child("resourceRules");
    for rule in matches["resourceRules"].items() {
        for operation in rule["operations"].items() {
            let known = ["*", "CONNECT", "CREATE", "UPDATE"];
            errors.one_of(&place.child("operations"), operation.text(), &known);
        }
    }
}

fn param_kind(path: &Path<'_>, kind: &Value, errors: &mut Errors) {
    let api_version = path.child("apiVersion");
    let text = kind["apiVersion"].text();
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [""] => errors.required(&api_version, ""),
        parts @ ([_] | [_, _]) => {
            let (group, version) = match parts {
                [group, version] => (*group, *version),
                _ => ("", text),
            };
            let wrong = if group.is_empty() { Vec::new() } else { validation::dns1123_subdomain(group) };
            if !wrong.is_empty() {
                errors.invalid(&api_version, group, &wrong.join(","));
            }
            let wrong = validation::dns1035_label(version);
            if version.is_empty() {
                errors.invalid(&api_version, text, "version must be specified");
            } else if !wrong.is_empty() {
                errors.invalid(&api_version, version, &wrong.join(","));
            }
        }
        _ => errors.invalid(&api_version, text, &format!("unexpected GroupVersion string: {text}")),
    }
    let name = kind["kind"].text();
    if required(&path.child("kind"), &kind["kind"], errors) {
        let wrong = validation::dns1035_label(&name.to_lowercase());
        if !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.invalid(&path.child("kind"), name, &why);
        }
    }
}

fn variable(path: &Path<'_>, variable: &Value, environments: &mut Environments, errors: &mut Errors) {
    let (name, source) = (variable["name"].text(), variable["expression"].text());
    if name.trim().is_empty() {
        errors.required(&path.child("name"), "name is not specified");
    } else if !is_identifier(name) {
        errors.invalid(&path.child("name"), name, "must be a valid CEL identifier");
    }
    if source.trim().is_empty() {
        return errors.required(&path.child("expression"), "expression is not specified");
    }
    if let Err(error) = environments.add_variable(name, source) {
        uncompiled(&path.child("expression"), source, &error, errors);
    }
}

/// Whether expressions can name it as it is.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && cel::escape(name).is_none_or(|escaped| escaped != format!("__{name}__"))
}

fn validations(path: &Path<'_>, spec: &Value, name: &str, environments: &Environments, errors: &mut Errors) {
    let (validations, annotations) = (spec["validations"].items(), spec["auditAnnotations"].items());
    if validations.is_empty() && annotations.is_empty() {
        for list in ["validations", "auditAnnotations"] {
            let why = "validations or auditAnnotations must contain at least one item";
            errors.required(&path.child(list), why);
        }
        return;
    }
    for (at, one) in validations.iter().enumerate() {
        validation_of(&path.child("validations").index(at), one, environments, errors);
    }
    let list = path.child("auditAnnotations");
    if annotations.len() > MAX_ANNOTATIONS {
        let why = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        let told = annotations.iter().map(|annotation| internal::of("AuditAnnotation", annotation));
        errors.invalid(&list, told.collect::<Vec<_>>(), &why);
    }
    let mut seen = BTreeSet::new();
    for (at, annotation) in annotations.iter().enumerate() {
        let path = list.index(at);
        let key = annotation["key"].text();
        let full = format!("{name}/{key}");
        if name.is_empty() {
            errors.invalid(&path.child("key"), key, "requires metadata.name be non-empty");
        } else {
            errors.check(&path.child("key"), &full, validation::qualified_name(&full));
        }
        let value = path.child("valueExpression");
        let source = annotation["valueExpression"].text();
        if source.trim().is_empty() {
            errors.required(&value, "valueExpression is not specified");
        } else if source.trim().len() > MAX_ANNOTATION_EXPRESSION {
            let why = format!("must not exceed {MAX_ANNOTATION_EXPRESSION} bytes in length");
            errors.required(&value, &why);
        } else {
            let results = [Type::String, Type::Null];
            expression(&value, source, source.trim(), environments.body(), &results, errors);
        }
        if !seen.insert(key) {
            errors.duplicate(&path.child("key"), key);
        }
    }
}

fn validation_of(path: &Path<'_>, one: &Value, environments: &Environments, errors: &mut Errors) {
    let source = one["expression"].text();
    if source.trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    } else {
        expression(&path.child("expression"), source, source, environments.body(), &[Type::Bool], errors);
    }
    let source = one["messageExpression"].text();
    let message = path.child("messageExpression");
    if source.is_empty() {
    } else if source.trim().is_empty() {
        errors.invalid(&message, source, "must be non-empty if specified");
    } else {
        expression(&message, source, source, environments.messages(), &[Type::String], errors);
    }
    let text = one["message"].text();
    if !text.is_empty() && text.trim().is_empty() {
        errors.invalid(&path.child("message"), text, "must be non-empty if specified");
    } else if text.trim().contains(['\n', '\r']) {
        errors.invalid(&path.child("message"), text, "must not contain line breaks");
    }
    let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    supported(&path.child("reason"), &one["reason"], &reasons, errors);
}

/// A named type, for what an expression must give.
fn object(name: &str) -> Type {
    Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields: Default::default() }))
}

fn mutations(path: &Path<'_>, spec: &Value, environments: &Environments, errors: &mut Errors) {
    let list = path.child("mutations");
    let environment = environments.mutations();
    if spec["mutations"].items().is_empty() {
        errors.required(&list, "mutations must contain at least one item");
    }
    for (at, mutation) in spec["mutations"].items().iter().enumerate() {
        let path = list.index(at);
        let patch_type = mutation["patchType"].text();
        let (member, other, result) = match patch_type {
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", object("Object")),
            "JSONPatch" => ("jsonPatch", "applyConfiguration", Type::list(object("JSONPatch"))),
            "" => {
                errors.required(&path.child("patchType"), "");
                continue;
            }
            other => {
                let known = ["ApplyConfiguration", "JSONPatch"];
                errors.not_supported(&path.child("patchType"), other, &known);
                continue;
            }
        };
        let here = path.child(member);
        let source = mutation[member]["expression"].text();
        if mutation[member].is_null() {
            errors.required(&here, &format!("must be specified when patchType is {patch_type}"));
        } else if source.trim().is_empty() {
            errors.required(&here.child("expression"), "");
        } else {
            expression(
                &here.child("expression"),
                source.trim(),
                source.trim(),
                &environment,
                &[result],
                errors,
            );
        }
        if !mutation[other].is_null() {
            let why = format!("must not be specified when patchType is {patch_type}");
            errors.invalid(&path.child(other), format!("{{{other}}}"), &why);
        }
    }
    let policy = path.child("reinvocationPolicy");
    match spec["reinvocationPolicy"].text() {
        "" => errors.required(&policy, ""),
        text => errors.one_of(&policy, text, &["IfNeeded", "Never"]),
    }
}

fn binding(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = &object["spec"];
    let path = Path::Root.child("spec");
    let validating = object["kind"].text() == "ValidatingAdmissionPolicyBinding";
    let (name, name_path) = (spec["policyName"].text(), path.child("policyName"));
    if !name.is_empty() {
        errors.check(&name_path, name, validation::dns1123_subdomain(name));
    } else if !validating {
        errors.required(&name_path, "");
    }
    if !spec["paramRef"].is_null() {
        param_ref(&path.child("paramRef"), &spec["paramRef"], &mut errors);
    }
    if !spec["matchResources"].is_null() {
        resources(&path.child("matchResources"), &spec["matchResources"], &mut errors);
        if !validating {
            mutable_operations(&path.child("matchResources"), &spec["matchResources"], &mut errors);
        }
    }
    if validating {
        let place = path.child("validationActions");
        actions(&place, &spec["validationActions"], &mut errors);
        // What the type's declarations say comes last.
        for (path, missing) in
            [(&name_path, name.is_empty()), (&place, spec["validationActions"].items().is_empty())]
        {
            if missing {
                errors.required(path, "");
            }
        }
    }
    errors
}

fn actions(path: &Path<'_>, actions: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (at, action) in actions.items().iter().enumerate() {
        let action = action.text();
        errors.one_of(&path.index(at), action, &["Audit", "Deny", "Warn"]);
        if !seen.insert(action) {
            errors.duplicate(&path.index(at), action);
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                   API response and headers serves no purpose)";
        errors.invalid(path, actions.clone(), why);
    }
}

fn param_ref(path: &Path<'_>, reference: &Value, errors: &mut Errors) {
    let name = reference["name"].text();
    let has_selector = !reference["selector"].is_null();
    let exclusive = "name and selector are mutually exclusive";
    if !name.is_empty() {
        errors.check(&path.child("name"), name, validation::path_segment_name(name));
        if has_selector {
            errors.forbidden(&path.child("name"), exclusive);
        }
    }
    if has_selector {
        selector::validate(&path.child("selector"), &reference["selector"], errors);
        if !name.is_empty() {
            errors.forbidden(&path.child("selector"), exclusive);
        }
    }
    if name.is_empty() && !has_selector {
        errors.required(path, "one of name or selector must be specified");
    }
    let action = path.child("parameterNotFoundAction");
    match reference["parameterNotFoundAction"].text() {
        "" => errors.required(&action, ""),
        text => errors.one_of(&action, text, &["Deny", "Allow"]),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn told(errors: &Errors) -> String {
        errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_declared_of_bindings_is_told_last() {
        let told = |kind: &str| told(&binding(&value!({"kind": kind, "spec": {"paramRef": {}}})));
        assert_eq!(
            told("ValidatingAdmissionPolicyBinding"),
            "spec.paramRef spec.paramRef.parameterNotFoundAction spec.policyName spec.validationActions"
        );
        assert_eq!(
            told("MutatingAdmissionPolicyBinding"),
            "spec.policyName spec.paramRef spec.paramRef.parameterNotFoundAction"
        );
    }

    #[test]
    fn a_mutation_is_of_one_type() {
        let expression = value!({"expression": "Object{}"});
        let told = |mutation: Value| {
            let spec = value!({"mutations": [mutation], "reinvocationPolicy": "Never"});
            let mut errors = Errors::new();
            mutations(&Path::Root, &spec, &Environments::new(false, true), &mut errors);
            told(&errors)
        };
        assert_eq!(
            told(value!({"patchType": "ApplyConfiguration", "applyConfiguration": expression.clone()})),
            ""
        );
        assert_eq!(
            told(value!({
                "patchType": "ApplyConfiguration", "applyConfiguration": expression.clone(), "jsonPatch": {}
            })),
            "mutations[0].jsonPatch"
        );
        assert_eq!(told(value!({"patchType": "JSONPatch"})), "mutations[0].jsonPatch");
    }

    #[test]
    fn only_what_is_there_is_mutated() {
        let matches = value!({"resourceRules": [{"operations": ["CREATE", "DELETE"]}]});
        let mut errors = Errors::new();
        mutable_operations(&Path::Root.child("m"), &matches, &mut errors);
        assert_eq!(told(&errors), "m.resourceRules.operations");
    }
}
