//! Rules of what policies and webhooks have in common: rules on resources,
//! selectors, match conditions.

use std::collections::BTreeSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation;
use cel::{CompileError, Environment, Program, Type};

use crate::rules::{required, selector};

const MAX_CONDITIONS: usize = 64;
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// A text that must be among `supported`, where it is there.
pub(super) fn supported(path: &Path<'_>, value: &Value, supported: &[&str], errors: &mut Errors) {
    if let Some(text) = value.as_str() {
        errors.one_of(path, text, supported);
    }
}

/// MatchResources of a policy or a binding.
pub(super) fn resources(path: &Path<'_>, matches: &Value, errors: &mut Errors) {
    supported(&path.child("matchPolicy"), &matches["matchPolicy"], &["Equivalent", "Exact"], errors);
    selector::validate(&path.child("namespaceSelector"), &matches["namespaceSelector"], errors);
    selector::validate(&path.child("objectSelector"), &matches["objectSelector"], errors);
    for list in ["resourceRules", "excludeResourceRules"] {
        for (at, one) in matches[list].items().iter().enumerate() {
            let list = path.child(list);
            let at = list.index(at);
            names(&at.child("resourceNames"), &one["resourceNames"], errors);
            rule(&at, one, errors);
        }
    }
}

fn names(path: &Path<'_>, list: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (at, name) in list.items().iter().enumerate() {
        errors.check(&path.index(at), name.text(), validation::path_segment_name(name.text()));
        if !seen.insert(name.text()) {
            errors.duplicate(&path.index(at), name.text());
        }
    }
}

/// RuleWithOperations.
pub(super) fn rule(path: &Path<'_>, rule: &Value, errors: &mut Errors) {
    list(&path.child("operations"), &rule["operations"], "operations", errors);
    for (at, operation) in rule["operations"].items().iter().enumerate() {
        errors.one_of(&path.child("operations").index(at), operation.text(), &OPERATIONS);
    }
    list(&path.child("apiGroups"), &rule["apiGroups"], "API groups", errors);
    list(&path.child("apiVersions"), &rule["apiVersions"], "API versions", errors);
    for (at, version) in rule["apiVersions"].items().iter().enumerate() {
        required(&path.child("apiVersions").index(at), version, errors);
    }
    resource_names(&path.child("resources"), &rule["resources"], errors);
    supported(&path.child("scope"), &rule["scope"], &["*", "Cluster", "Namespaced"], errors);
}

/// A list that is there, and says either everything or what.
fn list(path: &Path<'_>, list: &Value, what: &str, errors: &mut Errors) {
    let items = list.items();
    if items.is_empty() {
        errors.required(path, "");
    }
    if items.len() > 1 && items.iter().any(|item| item.text() == "*") {
        errors.invalid(path, list.clone(), &format!("if '*' is present, must not specify other {what}"));
    }
}

fn resource_names(path: &Path<'_>, list: &Value, errors: &mut Errors) {
    let items = list.items();
    if items.is_empty() {
        errors.required(path, "");
    }
    let (mut every_subresource, mut every_resource) = (BTreeSet::new(), BTreeSet::new());
    for (at, item) in items.iter().enumerate() {
        let path = path.index(at);
        let text = item.text();
        if text.is_empty() {
            errors.required(&path, "");
            continue;
        }
        let Some((resource, subresource)) = text.split_once('/') else { continue };
        if every_subresource.contains(resource) {
            let why = format!("if '{resource}/*' is present, must not specify {text}");
            errors.invalid(&path, text, &why);
        }
        if every_resource.contains(subresource) {
            let why = format!("if '*/{subresource}' is present, must not specify {text}");
            errors.invalid(&path, text, &why);
        }
        if subresource == "*" {
            every_subresource.insert(resource);
        }
        if resource == "*" {
            every_resource.insert(subresource);
        }
    }
    let has = |wanted: &str| items.iter().any(|item| item.text() == wanted);
    if items.len() > 1 && has("*/*") {
        errors.invalid(path, list.clone(), "if '*/*' is present, must not specify other resources");
    }
    let is_plain = |item: &Value| item.text() != "*" && !item.text().is_empty() && !item.text().contains('/');
    if has("*") && items.iter().any(is_plain) {
        let why = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, list.clone(), why);
    }
}

/// `matchConditions`.
pub(super) fn conditions(path: &Path<'_>, list: &Value, environment: &Environment, errors: &mut Errors) {
    let items = list.items();
    if items.len() > MAX_CONDITIONS {
        errors.too_many(path, items.len(), MAX_CONDITIONS);
    }
    let mut seen = BTreeSet::new();
    for (at, condition) in items.iter().enumerate() {
        let path = path.index(at);
        let source = condition["expression"].text().trim();
        if source.is_empty() {
            errors.required(&path.child("expression"), "");
        } else {
            expression(&path.child("expression"), source, source, environment, &[Type::Bool], errors);
        }
        let name = condition["name"].text();
        if name.is_empty() {
            errors.required(&path.child("name"), "");
            continue;
        }
        errors.check(&path.child("name"), name, validation::qualified_name(name));
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
}

/// Tells why an expression does not compile.
pub(super) fn uncompiled(path: &Path<'_>, shown: &str, error: &CompileError, errors: &mut Errors) {
    let why = format!("{}: {error}", error.what());
    match error {
        CompileError::Source(_) => errors.invalid(path, shown, &why),
        CompileError::Constant(_) => errors.internal(path, &why),
    }
}

/// An expression that must compile and give one of `results`; `shown` is the
/// field's value in the error.
pub(super) fn expression(
    path: &Path<'_>,
    shown: &str,
    source: &str,
    environment: &Environment,
    results: &[Type],
    errors: &mut Errors,
) {
    let program = match Program::compile(source, environment) {
        Ok(program) => program,
        Err(error) => return uncompiled(path, shown, &error, errors),
    };
    let got = program.result();
    // What is only known when it runs is taken for a truth of its own kind alone.
    if results.iter().any(|wanted| wanted.is_same(got)) {
        return;
    }
    let name = |ty: &Type| ty.sentence_name();
    let wanted = match results {
        [only] => name(only),
        several => {
            let names: Vec<String> = several.iter().map(name).collect();
            format!("one of [{}]", names.join(" "))
        }
    };
    errors.invalid(path, shown, &format!("must evaluate to {wanted} but got {}", name(got)));
}
