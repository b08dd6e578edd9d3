//! What a CertificateSigningRequest must say, and who may change what of its
//! status. What an older object had wrong may stay wrong.

use std::collections::HashSet;

use apimachinery::field::{Errors, Named, Path, quote};
use apimachinery::{Value, value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::names::signer;
use crate::rules::diff;

const LEAST_SECONDS: i64 = 600;
const LEGACY: &str = "kubernetes.io/legacy-unknown";
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that are there or not, and never false.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Through which resource a change comes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    Object,
    Status,
    Approval,
}

pub(super) fn validate(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = written(object, old);
    declared(object, old, &mut errors);
    errors
}

pub(super) fn validate_update(object: &Value, old: &Value, way: Way) -> Errors {
    let mut errors = written(object, Some(old));
    let place = Path::Root.child("status");
    let conditions = place.child("conditions");
    let of_type = |object: &Value, kind: &str| -> Vec<Value> {
        let all = object["status"]["conditions"].items().iter();
        all.filter(|condition| condition["type"].text() == kind).cloned().collect()
    };
    for kind in DECISIONS {
        if of_type(object, kind).len() < of_type(old, kind).len() {
            let why = format!("updates may not remove a condition of type {}", quote(kind));
            errors.forbidden(&conditions, &why);
        }
    }
    if way != Way::Approval {
        for kind in &DECISIONS[..2] {
            let (new, before) = (of_type(object, kind), of_type(old, kind));
            if new.len() > before.len() {
                let why = format!("updates may not add a condition of type {}", quote(kind));
                errors.forbidden(&conditions, &why);
            } else if new.len() == before.len() && new != before {
                let told = diff::unified(&internal(&before), &internal(&new));
                let why = format!("updates may not modify a condition of type {}\n{told}", quote(kind));
                errors.forbidden(&conditions, &why);
            }
        }
    }
    let (new, before) = (certificate(object), certificate(old));
    if new != before {
        if way != Way::Status {
            errors.forbidden(&place.child("certificate"), "updates may not set certificate content");
        } else if !before.is_empty() {
            let why = "updates may not modify existing certificate content";
            errors.forbidden(&place.child("certificate"), why);
        }
    }
    declared(object, Some(old), &mut errors);
    errors
}

fn certificate(object: &Value) -> &str {
    object["status"]["certificate"].text()
}

/// Conditions as upstream's internal type writes them.
fn internal(conditions: &[Value]) -> Value {
    let one = |condition: &Value| {
        value!({
            "Type": condition["type"].text(),
            "Status": condition["status"].text(),
            "Reason": condition["reason"].text(),
            "Message": condition["message"].text(),
            "LastUpdateTime": condition["lastUpdateTime"].clone(),
            "LastTransitionTime": condition["lastTransitionTime"].clone()
        })
    };
    Value::Array(conditions.iter().map(one).collect())
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.text()).unwrap_or_default()
}

fn written(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    if let Err(why) = pki::check_request(&decoded(&spec["request"])) {
        errors.invalid(&path.child("request"), spec["request"].clone(), &why);
    }
    usages(spec, old, &path.child("usages"), &mut errors);
    let (name, place) = (spec["signerName"].text(), path.child("signerName"));
    if name == LEGACY && old.is_none_or(|old| old["spec"]["signerName"].text() != LEGACY) {
        errors.invalid(&place, name, "the legacy signerName is not allowed via this API version");
    } else {
        signer(&place, name, &mut errors);
    }
    if let Some(seconds) = spec["expirationSeconds"].as_i64().filter(|seconds| *seconds < LEAST_SECONDS) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&path.child("expirationSeconds"), seconds, why);
    }
    let status = Path::Root.child("status");
    conditions(object, old, &status.child("conditions"), &mut errors);
    let told = |object: &Value| match &object["status"]["certificate"] {
        Value::Null => Ok(()),
        text if text.text().is_empty() => Ok(()),
        text => pki::check_certificates(&decoded(text)),
    };
    let tolerated = old.is_some_and(|old| certificate(old) == certificate(object) || told(old).is_err());
    if let (false, Err(why)) = (tolerated, told(object)) {
        errors.invalid(&status.child("certificate"), "<certificate data>", &why);
    }
    errors
}

fn usages(spec: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let list = |spec: &Value| -> Vec<String> {
        spec["usages"].items().iter().map(|usage| usage.text().to_owned()).collect()
    };
    let unknown = |list: &[String]| list.iter().any(|usage| !USAGES.contains(&usage.as_str()));
    let repeated = |list: &[String]| -> Vec<usize> {
        let mut seen = HashSet::new();
        (0..list.len()).filter(|at| !seen.insert(list[*at].as_str())).collect()
    };
    let (new, before) = (list(spec), old.map(|old| list(&old["spec"])).unwrap_or_default());
    if new.is_empty() {
        errors.required(path, "");
    }
    if !unknown(&before) {
        for (at, usage) in new.iter().enumerate() {
            errors.one_of(&path.index(at), usage, &USAGES);
        }
    }
    if repeated(&before).is_empty() {
        for at in repeated(&new) {
            errors.duplicate(&path.index(at), Named(&new[at]));
        }
    }
}

fn conditions(object: &Value, old: Option<&Value>, path: &Path<'_>, errors: &mut Errors) {
    let types = |object: &Value| -> Vec<String> {
        let all = object["status"]["conditions"].items().iter();
        all.map(|condition| condition["type"].text().to_owned()).collect()
    };
    let before = old.map(types).unwrap_or_default();
    let had_empty = before.iter().any(String::is_empty);
    let had_twice = before.iter().collect::<HashSet<_>>().len() < before.len();
    let mut seen: HashSet<&str> = HashSet::new();
    for (at, condition) in object["status"]["conditions"].items().iter().enumerate() {
        let here = path.index(at);
        let kind = condition["type"].text();
        if kind.is_empty() && !had_empty {
            errors.required(&here.child("type"), "");
        }
        let known: &[&str] =
            if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        match condition["status"].text() {
            "" => errors.required(&here.child("status"), ""),
            status => errors.one_of(&here.child("status"), status, known),
        }
        if seen.contains(&kind) && !had_twice {
            errors.duplicate(&here.child("type"), Named(kind));
        }
        seen.insert(kind);
    }
}

/// A generated rule: a request is approved or denied, not both.
fn declared(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let set = |object: &Value| -> Vec<bool> {
        let conditions = object["status"]["conditions"].items();
        let has = |kind: &&str| conditions.iter().any(|condition| condition["type"].text() == *kind);
        DECISIONS[..2].iter().map(has).collect()
    };
    let now = set(object);
    if now.iter().all(|set| *set) && old.is_none_or(|old| set(old) != now) {
        let member = |kind: &str| format!("conditions[{{\"type\": \"{kind}\"}}]");
        let (approved, denied) = (member("Approved"), member("Denied"));
        let place = Path::Root.child("status");
        errors.invalid(
            &place.child("conditions"),
            format!("{{{approved}, {denied}}}"),
            &format!("must specify at most one of: `{approved}`, `{denied}`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(conditions: Value) -> Value {
        value!({
            "spec": {"signerName": "ex.com/s", "usages": ["any"]},
            "status": {"conditions": conditions}
        })
    }

    /// Errors about the status.
    fn told(new: Value, old: Value, way: Way) -> Vec<String> {
        let errors = validate_update(&with(new), &with(old), way);
        let all = errors.iter().filter(|error| error.field.starts_with("status"));
        all.map(|error| error.body.clone()).collect()
    }

    #[test]
    fn decisions_are_made_by_approval_and_never_taken_back() {
        let (approved, denied) =
            (value!({"type": "Approved", "status": "True"}), value!({"type": "Denied", "status": "True"}));
        let none = || value!([]);
        let one = |condition: &Value| Value::from(vec![condition.clone()]);
        assert_eq!(told(one(&approved), none(), Way::Approval).len(), 0);
        assert_eq!(
            told(one(&approved), none(), Way::Status),
            ["Forbidden: updates may not add a condition of type \"Approved\""]
        );
        assert_eq!(
            told(one(&denied), one(&approved), Way::Approval),
            ["Forbidden: updates may not remove a condition of type \"Approved\""]
        );
        let both = Value::from(vec![approved.clone(), denied]);
        assert_eq!(told(both.clone(), one(&approved), Way::Approval).len(), 1);
        assert_eq!(told(both.clone(), both, Way::Approval).len(), 0);
        let changed = value!([{"type": "Approved", "status": "True", "reason": "R"}]);
        assert!(told(changed, one(&approved), Way::Status)[0].contains("+  \"Reason\": \"R\""));
    }

    #[test]
    fn certificates_are_set_once_by_the_signer() {
        let set = |text: &str| {
            let mut object = with(value!([]));
            object.set_at(&["status", "certificate"], text);
            object
        };
        let told = |new: &Value, old: &Value, way| {
            let errors = validate_update(new, old, way);
            let all = errors.iter().filter(|error| error.field == "status.certificate");
            all.map(|error| error.body.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&set("YQ=="), &with(value!([])), Way::Status),
            ["Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"]
        );
        assert_eq!(told(&set("YQ=="), &set("Yg=="), Way::Status).len(), 1);
        assert_eq!(told(&set("YQ=="), &set("Yg=="), Way::Object).len(), 1);
    }
}
