//! SubjectAccessReview and its relatives: may this user do that.

use std::sync::Arc;

use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value, fields, labels, value};
use apiserver::{Action, Answer, Authorizer, Call, Decision, Handler, UserInfo, Verdict, View, decide};
use async_trait::async_trait;

use super::{described_user, invalid};
use crate::rules;

/// Whose rights are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// SelfSubjectAccessReview.
    Oneself,
    /// SubjectAccessReview.
    Anybody,
    /// LocalSubjectAccessReview: in the namespace of the request.
    AnybodyHere,
}

/// An access review.
pub struct AccessReview {
    pub about: About,
    /// In the order in which requests ask them.
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

#[async_trait]
impl Handler for AccessReview {
    async fn call(&self, mut call: Call<'_>) -> Result<Answer, Status> {
        let errors = validate(&call.body, self.about, call.namespace);
        if !errors.is_empty() {
            return Err(invalid(&errors));
        }
        let spec = call.body["spec"].clone();
        let described;
        let user: &UserInfo = match self.about {
            About::Oneself => call.user,
            _ => {
                described = described_user(&spec);
                &described
            }
        };
        let decision = decide_spec(&self.authorizers, user, &spec, &call.view);
        let mut status = value!({"allowed": decision.verdict == Verdict::Allow});
        if decision.verdict == Verdict::Deny {
            status.set("denied", true);
        }
        if !decision.reason.is_empty() {
            status.set("reason", decision.reason);
        }
        let told: Vec<String> = Some(decision.error)
            .filter(|error| !error.is_empty())
            .into_iter()
            .chain(unreadable(&spec["resourceAttributes"]))
            .collect();
        if !told.is_empty() {
            status.set("evaluationError", told.join("; "));
        }
        call.body.set("status", status);
        Ok(Answer::created(call.body))
    }
}

fn decide_spec(authorizers: &[Arc<dyn Authorizer>], user: &UserInfo, spec: &Value, view: &View) -> Decision {
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let (fields, labels) = (selector(&resource["fieldSelector"]), selector(&resource["labelSelector"]));
    let attributes = if resource.is_null() { path } else { resource };
    let action = Action {
        user,
        verb: attributes["verb"].text(),
        is_resource: !resource.is_null(),
        group: resource["group"].text(),
        version: resource["version"].text(),
        resource: resource["resource"].text(),
        subresource: resource["subresource"].text(),
        namespace: resource["namespace"].text(),
        name: resource["name"].text(),
        path: path["path"].text(),
        field_selector: &fields,
        label_selector: &labels,
    };
    decide(authorizers, &action, view)
}

/// What of the attributes' selectors cannot be read, and so does not count.
fn unreadable(attributes: &Value) -> impl Iterator<Item = String> {
    let raw = |field: &str| attributes[field]["rawSelector"].as_str().filter(|text| !text.is_empty());
    let ignored = |field: &str, parses: fn(&str) -> bool, counts: fn(&Value) -> bool| match raw(field) {
        Some(text) => (!parses(text)).then_some("ignored"),
        None => {
            let all = attributes[field]["requirements"].items();
            let counted = all.iter().filter(|requirement| counts(requirement)).count();
            match counted {
                _ if counted == all.len() => None,
                0 => Some("ignored"),
                _ => Some("partially ignored"),
            }
        }
    };
    let of_fields = ignored("fieldSelector", |text| fields::Selector::parse(text).is_ok(), is_of_fields);
    let of_labels = ignored("labelSelector", |text| labels::Selector::parse(text).is_ok(), is_of_labels);
    [("fieldSelector", of_fields), ("labelSelector", of_labels)].into_iter().filter_map(|(field, ignored)| {
        Some(format!("spec.resourceAttributes.{field} {} due to parse error", ignored?))
    })
}

/// Whether a requirement of fields can be asked: one value, there or not.
fn is_of_fields(requirement: &Value) -> bool {
    matches!(requirement["operator"].text(), "In" | "NotIn") && requirement["values"].items().len() == 1
}

/// Whether a requirement of labels can be asked.
fn is_of_labels(requirement: &Value) -> bool {
    labels::Selector::of_label_selector(&value!({"matchExpressions": vec![requirement.clone()]})).is_ok()
}

/// A selector of the attributes as a request would write it.
fn selector(selector: &Value) -> String {
    if let Some(raw) = selector["rawSelector"].as_str() {
        return raw.to_owned();
    }
    let terms: Vec<String> = selector["requirements"]
        .items()
        .iter()
        .filter_map(|requirement| {
            let key = requirement["key"].text();
            let values: Vec<&str> = requirement["values"].items().iter().map(Value::text).collect();
            match (requirement["operator"].text(), values.as_slice()) {
                ("In", [one]) => Some(format!("{key}={one}")),
                ("NotIn", [one]) => Some(format!("{key}!={one}")),
                ("In", many) => Some(format!("{key} in ({})", many.join(","))),
                ("NotIn", many) => Some(format!("{key} notin ({})", many.join(","))),
                ("Exists", _) => Some(key.to_owned()),
                ("DoesNotExist", _) => Some(format!("!{key}")),
                _ => None,
            }
        })
        .collect();
    terms.join(",")
}

/// Path attributes as upstream's internal type writes them.
fn told(path: &Value) -> Value {
    value!({"Path": path["path"].text(), "Verb": path["verb"].text()})
}

/// A question is no object: it has no metadata but who asked, and where.
fn is_bare(metadata: &Value, about: About, errors: &mut Errors) {
    let here = about == About::AnybodyHere;
    let told = |name: &str| name != "managedFields" && !(here && name == "namespace");
    if metadata.members().any(|(name, value)| told(name) && !value.is_null()) {
        let except = if here { "must be empty except for namespace" } else { "must be empty" };
        errors.invalid(&Path::Root.child("metadata"), metadata.clone(), except);
    }
}

fn validate(review: &Value, about: About, namespace: &str) -> Errors {
    let mut errors = Errors::new();
    let spec = &review["spec"];
    let path = Path::Root.child("spec");
    let (resource, url) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let one = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    match (resource.is_null(), url.is_null()) {
        (false, false) => errors.invalid(&path, told(url), one),
        (true, true) => errors.invalid(&path, Value::Null, one),
        _ => {}
    }
    if about != About::Oneself && spec["user"].text().is_empty() && spec["groups"].items().is_empty() {
        errors.invalid(&path.child("user"), "", "at least one of user or group must be specified");
    }
    if !resource.is_null() {
        let path = path.child("resourceAttributes");
        for field in ["fieldSelector", "labelSelector"] {
            let selector = &resource[field];
            let raw = selector["rawSelector"].text();
            let place = path.child(field);
            if !raw.is_empty() && !selector["requirements"].items().is_empty() {
                let why = "may not specified at the same time as requirements";
                errors.invalid(&place.child("rawSelector"), raw, why);
            }
            if !selector.is_null() && raw.is_empty() && selector["requirements"].items().is_empty() {
                let why = format!("when {place} is specified, requirements or rawSelector is required");
                errors.required(&place.child("requirements"), &why);
            }
            let check = if field == "labelSelector" {
                rules::selector::asked_label
            } else {
                rules::selector::asked_field
            };
            for (at, requirement) in selector["requirements"].items().iter().enumerate() {
                check(&place.child("requirements").index(at), requirement, &mut errors);
            }
        }
    }
    is_bare(&review["metadata"], about, &mut errors);
    if about == About::AnybodyHere {
        if !resource.is_null() && resource["namespace"].text() != namespace {
            let path = path.child("resourceAttributes");
            let given = resource["namespace"].text();
            errors.invalid(&path.child("namespace"), given, "must match metadata.namespace");
        }
        if !url.is_null() {
            let why = "disallowed on this kind of request";
            errors.invalid(&path.child("nonResourceAttributes"), told(url), why);
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(spec: Value, about: About) -> String {
        let errors = validate(&value!({"spec": spec}), about, "here");
        if errors.is_empty() { String::new() } else { errors.to_string() }
    }

    #[test]
    fn one_question_at_a_time() {
        let one = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        assert_eq!(told_of(value!({}), About::Oneself), format!("spec: Invalid value: null: {one}"));
        assert_eq!(
            told_of(
                value!({"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/y", "verb": "post"}}),
                About::Oneself
            ),
            format!("spec: Invalid value: {{\"Path\":\"/y\",\"Verb\":\"post\"}}: {one}")
        );
        assert_eq!(told_of(value!({"resourceAttributes": {"verb": "get"}}), About::Oneself), "");
    }

    #[test]
    fn requirements_take_values_where_their_operator_does() {
        let cases = [
            ("labelSelector", value!({"key": "a", "operator": "Later", "values": ["b"]}), ""),
            (
                "labelSelector",
                value!({"key": "a", "operator": "In"}),
                "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                "fieldSelector",
                value!({"key": "", "operator": "In", "values": ["b"]}),
                "key: Required value: must be specified",
            ),
            (
                "fieldSelector",
                value!({"key": "a b", "operator": "Exists", "values": ["b"]}),
                "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
        ];
        for (field, requirement, why) in cases {
            let mut attributes = value!({"verb": "list"});
            attributes.set(field, value!({"requirements": [requirement]}));
            let told = told_of(value!({"resourceAttributes": attributes}), About::Oneself);
            let place = format!("spec.resourceAttributes.{field}.requirements[0].");
            assert_eq!(told.strip_prefix(&place).unwrap_or(&told), why);
        }
    }

    #[test]
    fn a_subject_is_named_and_local() {
        let question = value!({"resourceAttributes": {"verb": "get", "namespace": "there"}});
        assert_eq!(
            told_of(question, About::Anybody),
            "spec.user: Invalid value: \"\": at least one of user or group must be specified"
        );
        assert_eq!(
            told_of(
                value!({"user": "u", "resourceAttributes": {"verb": "get", "namespace": "there"}}),
                About::AnybodyHere
            ),
            "spec.resourceAttributes.namespace: Invalid value: \"there\": must match metadata.namespace"
        );
    }

    #[test]
    fn requirements_read_as_selectors() {
        let of = |requirement: Value| selector(&value!({"requirements": [requirement]}));
        assert_eq!(of(value!({"key": "a", "operator": "In", "values": ["b"]})), "a=b");
        assert_eq!(of(value!({"key": "a", "operator": "NotIn", "values": ["b", "c"]})), "a notin (b,c)");
        assert_eq!(of(value!({"key": "a", "operator": "DoesNotExist"})), "!a");
    }
}
