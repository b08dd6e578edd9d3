//! What decides where and when a pod runs, affinity apart: tolerations, gates,
//! spreading, devices.

use std::collections::{HashMap, HashSet};

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, label_key, label_value, qualified_name};

use crate::rules::{internal, selector};

/// Effects of taints, as messages list them.
pub const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub fn tolerations(tolerations: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, toleration) in tolerations.items().iter().enumerate() {
        let here = path.index(at);
        let text = |field: &str| toleration[field].text();
        let (key, operator, value, effect) = (text("key"), text("operator"), text("value"), text("effect"));
        let place = here.child("operator");
        if !key.is_empty() {
            errors.check(&here.child("key"), key, label_key(key));
        } else if operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&place, Named(operator), why);
        }
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(&here.child("effect"), Named(effect), why);
        }
        match operator {
            "" | "Equal" => {
                let wrong = label_value(value);
                if !wrong.is_empty() {
                    errors.invalid(&place, value, &wrong.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                errors.invalid(&place, value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            "Lt" | "Gt" => errors.not_supported(&place, operator, &["Equal", "Exists", "Lt", "Gt"]),
            other => errors.not_supported(&place, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            errors.one_of(&here.child("effect"), effect, &TAINT_EFFECTS);
        }
    }
}

pub(super) fn readiness_gates(gates: &Value, path: &Path<'_>, errors: &mut Errors) {
    for (at, gate) in gates.items().iter().enumerate() {
        let name = gate["conditionType"].text();
        errors.check(&path.index(at).child("conditionType"), name, qualified_name(name));
    }
}

pub(super) fn scheduling_gates(gates: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for (at, gate) in gates.items().iter().enumerate() {
        let name = gate["name"].text();
        errors.check(&path.index(at), name, qualified_name(name));
        if names.contains(&name) {
            errors.duplicate(&path.index(at), name);
        }
        names.insert(name);
    }
}

pub fn spread_constraints(constraints: &Value, path: &Path<'_>, errors: &mut Errors) {
    let list = constraints.items();
    // How often each pair is still to come.
    let mut times: HashMap<(&str, &str), usize> = HashMap::new();
    for constraint in list {
        let pair = (constraint["topologyKey"].text(), constraint["whenUnsatisfiable"].text());
        *times.entry(pair).or_default() += 1;
    }
    for (at, constraint) in list.iter().enumerate() {
        let here = path.index(at);
        let skew = constraint["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            errors.invalid(&here.child("maxSkew"), skew, "must be greater than zero");
        }
        let key = constraint["topologyKey"].text();
        if key.is_empty() {
            errors.required(&here.child("topologyKey"), "can not be empty");
        }
        let action = constraint["whenUnsatisfiable"].text();
        errors.one_of(&here.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let left = times.entry((key, action)).or_default();
        *left -= 1;
        if *left > 0 {
            errors.duplicate(&here.child("{topologyKey, whenUnsatisfiable}"), format!("{{{key}, {action}}}"));
        }
        min_domains(constraint, &here.child("minDomains"), errors);
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint[field].as_str() {
                errors.one_of(&here.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        let labels = &constraint["labelSelector"];
        label_keys(&here.child("matchLabelKeys"), &constraint["matchLabelKeys"], labels, errors);
        selected_twice(&here, &constraint["matchLabelKeys"], labels, errors);
        selector::validate(&here.child("labelSelector"), labels, errors);
    }
}

fn min_domains(constraint: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(number) = constraint["minDomains"].as_i64() else { return };
    let action = constraint["whenUnsatisfiable"].text();
    if number <= 0 {
        errors.invalid(path, number, "must be greater than zero");
    }
    if action != "DoNotSchedule" {
        let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.invalid(path, number, &why);
    }
}

/// Keys of labels whose values the pod adds to the selector.
pub(super) fn label_keys(path: &Path<'_>, keys: &Value, labels: &Value, errors: &mut Errors) {
    if keys.items().is_empty() {
        return;
    }
    if labels.is_null() {
        errors.forbidden(path, "must not be specified when labelSelector is not set");
        return;
    }
    for (at, key) in keys.items().iter().enumerate() {
        errors.check(&path.index(at), key.text(), label_key(key.text()));
    }
}

/// A key that the selector names beside the requirement that the pod's own label
/// became. Upstream tells the place of the key below the whole term.
pub(super) fn selected_twice(path: &Path<'_>, keys: &Value, labels: &Value, errors: &mut Errors) {
    let mut known: Vec<&str> = labels["matchLabels"].members().map(|(key, _)| key).collect();
    for requirement in labels["matchExpressions"].items() {
        let key = requirement["key"].text();
        if let Some(at) = keys.items().iter().rposition(|own| own.text() == key)
            && known.contains(&key)
        {
            errors.invalid(&path.index(at), key, "exists in both matchLabelKeys and labelSelector");
        }
        known.push(key);
    }
}

/// Claims of devices; their names.
pub(super) fn resource_claims<'a>(claims: &'a Value, path: &Path<'_>, errors: &mut Errors) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (at, claim) in claims.items().iter().enumerate() {
        let here = path.index(at);
        let name = claim["name"].text();
        if name.is_empty() {
            errors.required(&here.child("name"), "");
        } else if names.contains(&name) {
            errors.duplicate(&here.child("name"), name);
        } else {
            errors.check(&here.child("name"), name, dns1123_label(name));
            names.push(name);
        }
        let (own, template) = (&claim["resourceClaimName"], &claim["resourceClaimTemplateName"]);
        let why = match (own.is_null(), template.is_null()) {
            (false, false) => {
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            }
            (true, true) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            _ => "",
        };
        if !why.is_empty() {
            errors.invalid(&here, internal::of("PodResourceClaim", claim), why);
        }
        for (field, value) in [("resourceClaimName", own), ("resourceClaimTemplateName", template)] {
            if let Some(name) = value.as_str() {
                errors.check(&here.child(field), name, dns1123_subdomain(name));
            }
        }
    }
    names
}
