//! FlowSchema.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain};
use apiserver::{Arrange, Context, Strategy, Version};
use jiff::Timestamp;

use super::mandatory;
use crate::conditions;
use crate::rules::{internal, required};

const MOST_PRECEDENCE: i64 = 10_000;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Kinds of subjects, with the field of each, in upstream's order.
const SUBJECTS: [(&str, &str); 3] =
    [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

/// FlowSchema.
pub struct FlowSchema;

impl Strategy for FlowSchema {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = validate(context.name, &object["spec"]);
        let status = Path::Root.child("status");
        conditions::types(&status.child("conditions"), &object["status"]["conditions"], &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        conditions::types(&status.child("conditions"), &object["status"]["conditions"], &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::flow_schema(object, now)
    }

    fn arrange(&self) -> Option<Arrange> {
        Some(crate::printers::cluster::by_precedence)
    }
}

fn validate(name: &str, spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let (place, number) =
        (path.child("matchingPrecedence"), spec["matchingPrecedence"].as_i64().unwrap_or(0));
    if number <= 0 {
        errors.invalid(&place, number, "must be a positive value");
    }
    if number > MOST_PRECEDENCE {
        errors.invalid(&place, number, &format!("must not be greater than {MOST_PRECEDENCE}"));
    }
    if number == 1 && name != "exempt" {
        errors.invalid(&place, number, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    let method = &spec["distinguisherMethod"];
    let known = ["ByNamespace", "ByUser"];
    if !method.is_null() && !known.contains(&method["type"].text()) {
        let told = internal::of("FlowDistinguisherMethod", method);
        errors.not_supported(&path.child("distinguisherMethod").child("type"), told, &known);
    }
    let (level, place) =
        (spec["priorityLevelConfiguration"]["name"].text(), path.child("priorityLevelConfiguration"));
    if level.is_empty() {
        errors.required(&place.child("name"), "must reference a priority level");
    } else {
        errors.check(&place.child("name"), level, dns1123_subdomain(level));
    }
    let rules = path.child("rules");
    for (at, each) in spec["rules"].items().iter().enumerate() {
        rule(each, &rules.index(at), &mut errors);
    }
    if mandatory::spec("flowschemas", name).is_some_and(|fixed| fixed != spec) {
        let told = internal::of("FlowSchemaSpec", spec);
        errors.invalid(&path, told, &format!("spec of '{name}' must equal the fixed value"));
    }
    errors
}

fn rule(rule: &Value, path: &Path<'_>, errors: &mut Errors) {
    let subjects = path.child("subjects");
    if rule["subjects"].items().is_empty() {
        errors.required(&subjects, "subjects must contain at least one value");
    }
    for (at, each) in rule["subjects"].items().iter().enumerate() {
        subject(each, &subjects.index(at), errors);
    }
    let lists = ["resourceRules", "nonResourceRules"];
    if lists.iter().all(|list| rule[*list].items().is_empty()) {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(path, why);
    }
    let list = path.child(lists[0]);
    for (at, each) in rule[lists[0]].items().iter().enumerate() {
        resource_rule(each, &list.index(at), errors);
    }
    let list = path.child(lists[1]);
    for (at, each) in rule[lists[1]].items().iter().enumerate() {
        path_rule(each, &list.index(at), errors);
    }
}

fn subject(subject: &Value, path: &Path<'_>, errors: &mut Errors) {
    let kind = subject["kind"].text();
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        errors.not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    let (of, here) = (&subject[*own], path.child(own));
    if of.is_null() {
        errors.required(&here, &format!("{own} is required when subject kind is '{kind}'"));
    } else {
        let name = of["name"].text();
        if required(&here.child("name"), &of["name"], errors) && kind == "ServiceAccount" && name != "*" {
            errors.check(&here.child("name"), name, dns1123_subdomain(name));
        }
        if kind == "ServiceAccount" {
            let namespace = of["namespace"].text();
            if namespace.is_empty() {
                errors.required(&here.child("namespace"), "must specify namespace for service account");
            } else {
                errors.check(&here.child("namespace"), namespace, dns1123_label(namespace));
            }
        }
    }
    for (other, field) in SUBJECTS.iter().filter(|(other, _)| *other != kind) {
        if !subject[*field].is_null() {
            let why = format!("{field} is forbidden when subject kind is not '{other}'");
            errors.forbidden(&path.child(field), &why);
        }
    }
}

fn has_wildcard(list: &Value) -> bool {
    list.items().iter().any(|item| item.text() == "*")
}

/// A list that is not empty, and holds nothing beside `*`. Whether there is
/// more to say: it is there and has no `*`.
fn listed(list: &Value, path: &Path<'_>, missing: &str, others: &str, errors: &mut Errors) -> bool {
    if list.items().is_empty() {
        errors.required(path, missing);
        return false;
    }
    if has_wildcard(list) && list.items().len() > 1 {
        errors.invalid(path, list.clone(), &format!("if '*' is present, must not specify other {others}"));
    }
    !has_wildcard(list)
}

fn verbs(list: &Value, path: &Path<'_>, errors: &mut Errors) {
    let plain = listed(list, path, "verbs must contain at least one value", "verbs", errors);
    if plain && !list.items().iter().all(|verb| VERBS.contains(&verb.text())) {
        errors.not_supported(path, list.clone(), &VERBS);
    }
}

fn resource_rule(rule: &Value, path: &Path<'_>, errors: &mut Errors) {
    verbs(&rule["verbs"], &path.child("verbs"), errors);
    for (field, missing, others) in [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ] {
        listed(&rule[field], &path.child(field), missing, others, errors);
    }
    let (list, place) = (&rule["namespaces"], path.child("namespaces"));
    if list.items().is_empty() && rule["clusterScope"].is_true() {
        return;
    }
    let missing = "resource rules that are not cluster scoped must supply at least one namespace";
    if listed(list, &place, missing, "namespaces", errors) {
        for (at, name) in list.items().iter().map(Value::text).enumerate() {
            for why in dns1123_label(name) {
                let why = format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                errors.invalid(&place.index(at), name, &why);
            }
        }
    }
}

fn path_rule(rule: &Value, path: &Path<'_>, errors: &mut Errors) {
    verbs(&rule["verbs"], &path.child("verbs"), errors);
    let (list, place) = (&rule["nonResourceURLs"], path.child("nonResourceURLs"));
    let missing = "nonResourceURLs must contain at least one value";
    if listed(list, &place, missing, "non-resource URLs", errors) {
        for (at, url) in list.items().iter().map(Value::text).enumerate() {
            if let Some(why) = wrong_url(url) {
                errors.invalid(&place.index(at), url, why);
            }
        }
    }
}

fn wrong_url(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        url if !url.starts_with('/') => Some("must start with slash"),
        url if url.contains(' ') => Some("must not contain white-space"),
        url if url.contains("//") => Some("must not contain double slash"),
        url if stars > 1 || (stars == 1 && !url.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn urls_are_absolute_and_match_by_prefix() {
        for (url, expected) in [
            ("/", None),
            ("/healthz/*", None),
            ("healthz", Some("must start with slash")),
            ("/a*", Some("wildcard can only do suffix matching")),
            ("/a//b", Some("must not contain double slash")),
        ] {
            assert_eq!(wrong_url(url), expected, "{url}");
        }
    }

    #[test]
    fn subjects_are_what_their_kind_says() {
        let told = |subject: Value| {
            let mut errors = Errors::new();
            super::subject(&subject, &Path::Root.child("s"), &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(value!({"kind": "User", "user": {"name": "u"}})).len(), 0);
        assert_eq!(
            told(value!({"kind": "User", "group": {"name": "g"}})),
            [
                "s.user: Required value: user is required when subject kind is 'User'",
                "s.group: Forbidden: group is forbidden when subject kind is not 'Group'"
            ]
        );
        assert_eq!(
            told(value!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "n"}})).len(),
            0
        );
    }

    #[test]
    fn the_fixed_schemas_stay_as_they_are() {
        let mut spec = mandatory::spec("flowschemas", "catch-all").expect("mandatory").clone();
        assert!(validate("catch-all", &spec).is_empty());
        spec.set("matchingPrecedence", 9000);
        assert!(
            validate("catch-all", &spec)
                .to_string()
                .ends_with("spec of 'catch-all' must equal the fixed value")
        );
    }
}
