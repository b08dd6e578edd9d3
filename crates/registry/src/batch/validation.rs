//! Validation of Jobs and CronJobs.

use apimachinery::field::{Errors, Path};
use apimachinery::labels::Selector;
use apimachinery::validation::{IMMUTABLE, dns1123_label, dns1123_subdomain};
use apimachinery::{Value, value};

use super::indexes;
use crate::core::pod::validation as pod;
use crate::rules::{internal, invalid_unquoted, non_negative, selector};

/// Most parallel pods, and failing indexes, of an indexed Job.
const MOST_INDEXED: i64 = 100_000;
/// Of a Job with more completions than that fewer indexes may fail.
const MANY_COMPLETIONS: i64 = 100_000;
const MOST_PARALLEL_OF_MANY: i64 = 10_000;
const MOST_FAILED_INDEXES: i64 = 10_000;
const MOST_RULES: usize = 20;
const MOST_EXIT_CODES: usize = 255;

/// A Job with its selector.
pub fn job(object: &Value, is_new: bool) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let template = path.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    let field = path.child("selector");
    if is_new && !spec["manualSelector"].is_true() {
        generated_selector(object, &field, &labels, &mut errors);
    }
    job_spec(spec, &path, &mut errors);
    if spec["selector"].is_null() {
        errors.required(&field, "");
    } else {
        selector::validate(&field, &spec["selector"], &mut errors);
    }
    if Selector::of_label_selector(&spec["selector"]).is_ok() {
        selector::matches_labels(&field, &spec["selector"], &spec["template"], &labels, &mut errors);
    }
    errors
}

/// Without a selector of the client's own it is the one that the server made.
fn generated_selector(object: &Value, path: &Path<'_>, labels: &Path<'_>, errors: &mut Errors) {
    let uid = object["metadata"]["uid"].text();
    let name = object["metadata"]["name"].text();
    let own = &object["spec"]["template"]["metadata"]["labels"];
    for (label, expected) in [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ] {
        match own[label].as_str() {
            None => errors.required(&labels.key(label), &format!("must be '{expected}'")),
            Some(value) if value != expected => {
                errors.invalid(&labels.key(label), own.clone(), &format!("must be '{expected}'"));
            }
            Some(_) => {}
        }
    }
    let selector = &object["spec"]["selector"];
    let expected = value!({
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
        "controller-uid": uid, "job-name": name
    });
    let finds = Selector::of_label_selector(selector).map(|selector| selector.matches(&expected));
    if selector.is_null() || finds == Ok(false) {
        errors.invalid(path, selector.clone(), "`selector` not auto-generated");
    }
}

/// Pods of an indexed Job are called after it and their index.
pub fn name_fits(object: &Value, errors: &mut Errors) {
    let (name, spec) = (object["metadata"]["name"].text(), &object["spec"]);
    let completions = spec["completions"].as_i64().unwrap_or(0);
    if spec["completionMode"].text() != "Indexed" || completions <= 0 {
        return;
    }
    let longest = format!("{name}-{}", completions - 1);
    if !dns1123_label(&longest).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {longest}");
        errors.invalid(&Path::Root.child("metadata").child("name"), name, &why);
    }
}

/// A JobSpec at `path`, but for its selector.
pub(super) fn job_spec(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    for field in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        non_negative(&path.child(field), &spec[field], errors);
    }
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        non_negative(&path.child(field), &spec[field], errors);
    }
    if let Some(manager) = spec["managedBy"].as_str() {
        managed_by(manager, &path.child("managedBy"), errors);
    }
    let indexed = spec["completionMode"].text() == "Indexed";
    if let Some(mode) = spec["completionMode"].as_str() {
        errors.one_of(&path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if indexed {
        indexed_numbers(spec, path, errors);
    }
    if matches!(&spec["completionMode"], Value::Null) || spec["completionMode"].text() == "NonIndexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec[field].as_i64() {
                errors.invalid(&path.child(field), number, "requires indexed completion mode");
            }
        }
    }
    failure_policy(spec, &path.child("podFailurePolicy"), errors);
    success_policy(spec, indexed, &path.child("successPolicy"), errors);
    if let Some(policy) = spec["podReplacementPolicy"].as_str() {
        let field = path.child("podReplacementPolicy");
        if spec["podFailurePolicy"].is_null() {
            errors.one_of(&field, policy, &["Failed", "TerminatingOrFailed"]);
        } else {
            errors.one_of(&field, policy, &["Failed"]);
        }
    }
    let template = path.child("template");
    pod::template(&spec["template"], &template, errors);
    let restart = template.child("spec");
    let restart = restart.child("restartPolicy");
    match spec["template"]["spec"]["restartPolicy"].text() {
        "" | "Always" => errors.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        policy => {
            errors.one_of(&restart, policy, &["OnFailure", "Never"]);
            if !spec["podFailurePolicy"].is_null() && policy == "OnFailure" {
                errors.invalid(
                    &restart,
                    policy,
                    "only \"Never\" is supported when podFailurePolicy is specified",
                );
            }
        }
    }
}

/// What the declarations of a JobSpec's fields say: it is told last.
pub(super) fn declared(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
}

const MOST_MANAGER_BYTES: usize = 63;

/// Who runs the Job: a path behind a domain.
fn managed_by(manager: &str, path: &Path<'_>, errors: &mut Errors) {
    match manager.split_once('/') {
        _ if manager.is_empty() => errors.required(path, ""),
        Some((domain, place)) if !domain.is_empty() && !place.is_empty() => {
            for why in dns1123_subdomain(domain) {
                errors.invalid(path, domain, &why);
            }
            let fits = |letter: char| letter.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(letter);
            if !place.chars().all(fits) {
                let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                errors.invalid(path, place, why);
            }
        }
        _ => {
            let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.invalid(path, manager, why);
        }
    }
    if manager.len() > MOST_MANAGER_BYTES {
        errors.too_long(path, MOST_MANAGER_BYTES);
    }
}

fn indexed_numbers(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let number = |field: &str| spec[field].as_i64();
    if number("completions").is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    let completions = number("completions").unwrap_or(i64::MAX);
    let many = number("completions").is_some_and(|number| number > MANY_COMPLETIONS);
    if let Some(parallelism) = number("parallelism").filter(|number| *number > MOST_INDEXED) {
        let why = format!("must be less than or equal to {MOST_INDEXED} when completion mode is Indexed");
        errors.invalid(&path.child("parallelism"), parallelism, &why);
    }
    let failed = number("maxFailedIndexes");
    let field = path.child("maxFailedIndexes");
    if let Some(failed) = failed {
        if failed > completions {
            errors.invalid(&field, failed, "must be less than or equal to completions");
        }
        if failed > MOST_INDEXED {
            errors.invalid(&field, failed, &format!("must be less than or equal to {MOST_INDEXED}"));
        }
    }
    if many && number("backoffLimitPerIndex").is_some() {
        if failed.is_none() {
            let why = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            errors.required(&field, &why);
        }
        if let Some(parallelism) = number("parallelism").filter(|number| *number > MOST_PARALLEL_OF_MANY) {
            let why = format!(
                "must be less than or equal to {MOST_PARALLEL_OF_MANY} when completions are above \
                 {MANY_COMPLETIONS} and used with backoff limit per index"
            );
            errors.invalid(&path.child("parallelism"), parallelism, &why);
        }
        if let Some(failed) = failed.filter(|failed| *failed > MOST_FAILED_INDEXES) {
            let why = format!(
                "must be less than or equal to {MOST_FAILED_INDEXES} when completions are above \
                 {MANY_COMPLETIONS} and used with backoff limit per index"
            );
            errors.invalid(&field, failed, &why);
        }
    }
}

fn failure_policy(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let policy = &spec["podFailurePolicy"];
    if policy.is_null() {
        return;
    }
    let rules = path.child("rules");
    if policy["rules"].items().len() > MOST_RULES {
        errors.too_many(&rules, policy["rules"].items().len(), MOST_RULES);
    }
    for (at, rule) in policy["rules"].items().iter().enumerate() {
        let here = rules.index(at);
        let action = here.child("action");
        match rule["action"].text() {
            "" => errors.required(&action, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
            "FailIndex" if spec["backoffLimitPerIndex"].is_null() => {
                errors.invalid(&action, "FailIndex", "requires the backoffLimitPerIndex to be set");
            }
            text => errors.one_of(&action, text, &["Count", "FailIndex", "FailJob", "Ignore"]),
        }
        let (codes, conditions) = (&rule["onExitCodes"], rule["onPodConditions"].items());
        if !codes.is_null() {
            exit_codes(spec, codes, &here.child("onExitCodes"), errors);
        }
        let list = here.child("onPodConditions");
        if conditions.len() > MOST_RULES {
            errors.too_many(&list, conditions.len(), MOST_RULES);
        }
        for (nth, condition) in conditions.iter().enumerate() {
            let place = list.index(nth);
            let kind = condition["type"].text();
            errors.check(&place.child("type"), kind, apimachinery::validation::qualified_name(kind));
            match condition["status"].text() {
                "" => {
                    errors.required(&place.child("status"), "valid values: [\"False\" \"True\" \"Unknown\"]")
                }
                status => errors.one_of(&place.child("status"), status, &["False", "True", "Unknown"]),
            }
        }
        match (!codes.is_null(), !conditions.is_empty()) {
            (true, true) => {
                invalid_unquoted(
                    &here,
                    "specifying both OnExitCodes and OnPodConditions is not supported",
                    errors,
                );
            }
            (false, false) => {
                invalid_unquoted(
                    &here,
                    "specifying one of OnExitCodes and OnPodConditions is required",
                    errors,
                );
            }
            _ => {}
        }
    }
}

fn exit_codes(spec: &Value, codes: &Value, path: &Path<'_>, errors: &mut Errors) {
    let operator = codes["operator"].text();
    match operator {
        "" => errors.required(&path.child("operator"), "valid values: [\"In\" \"NotIn\"]"),
        operator => errors.one_of(&path.child("operator"), operator, &["In", "NotIn"]),
    }
    if let Some(name) = codes["containerName"].as_str() {
        let template = &spec["template"]["spec"];
        let known = ["containers", "initContainers"]
            .iter()
            .flat_map(|list| template[*list].items())
            .any(|container| container["name"].text() == name);
        if !known {
            let why = "must be one of the container or initContainer names in the pod template";
            errors.invalid(&path.child("containerName"), name, why);
        }
    }
    let field = path.child("values");
    let values = codes["values"].items();
    if values.is_empty() {
        errors.invalid(&field, codes["values"].clone(), "at least one value is required");
    } else if values.len() > MOST_EXIT_CODES {
        errors.too_many(&field, values.len(), MOST_EXIT_CODES);
    }
    let mut ordered = true;
    for (at, value) in values.iter().enumerate() {
        let code = value.as_i64().unwrap_or(0);
        if operator == "In" && code == 0 {
            errors.invalid(&field.index(at), code, "must not be 0 for the In operator");
        }
        if at > 0 {
            let before = values[at - 1].as_i64().unwrap_or(0);
            ordered &= before <= code;
            if before == code {
                errors.duplicate(&field.index(at), code);
            }
        }
    }
    if !ordered {
        errors.invalid(&field, codes["values"].clone(), "must be ordered");
    }
}

fn success_policy(spec: &Value, indexed: bool, path: &Path<'_>, errors: &mut Errors) {
    let policy = &spec["successPolicy"];
    if policy.is_null() {
        return;
    }
    if !indexed {
        let mut policy = policy.clone();
        if policy["rules"].is_null() {
            policy.set("rules", Vec::new());
        }
        errors.invalid(path, internal::of("SuccessPolicy", &policy), "requires indexed completion mode");
        return;
    }
    let rules = path.child("rules");
    let list = policy["rules"].items();
    if list.is_empty() {
        errors.required(&rules, "at least one rules must be specified when the successPolicy is specified");
    }
    if list.len() > MOST_RULES {
        errors.too_many(&rules, list.len(), MOST_RULES);
    }
    for (at, rule) in list.iter().enumerate() {
        let here = rules.index(at);
        if rule["succeededCount"].is_null() && rule["succeededIndexes"].is_null() {
            errors.required(&here, "at least one of succeededCount or succeededIndexes must be specified");
        }
        success_rule(rule, spec["completions"].as_i64().unwrap_or(0), &here, errors);
    }
}

/// The most letters of a set of indexes.
const MOST_INDEX_BYTES: usize = 64 * 1024;

fn success_rule(rule: &Value, completions: i64, path: &Path<'_>, errors: &mut Errors) {
    let mut named = None;
    if let Some(text) = rule["succeededIndexes"].as_str() {
        let field = path.child("succeededIndexes");
        if text.len() > MOST_INDEX_BYTES {
            errors.too_long(&field, MOST_INDEX_BYTES);
        }
        match indexes::count(text, completions) {
            Ok(count) => named = Some(count),
            Err(why) => {
                errors.invalid(&field, text, &format!("error parsing succeededIndexes: {why}"));
                named = Some(0);
            }
        }
    }
    let field = path.child("succeededCount");
    non_negative(&field, &rule["succeededCount"], errors);
    let Some(count) = rule["succeededCount"].as_i64() else { return };
    if count > completions {
        let why =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&field, count, &why);
    }
    if let Some(named) = named.filter(|named| count > *named) {
        let why = format!(
            "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&field, count, &why);
    }
}

/// The number of an indexed Job follows its parallelism, that of others stays.
fn completions(new: &Value, before: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (wanted, field) = (&new["completions"], path.child("completions"));
    if new["completionMode"].text() != "Indexed" {
        errors.immutable(&field, wanted, &before["completions"]);
    } else if *wanted != before["completions"] && !wanted.is_null() && *wanted != new["parallelism"] {
        let why = format!("can only be modified in tandem with {}", path.child("parallelism"));
        errors.invalid(&field, wanted.clone(), &why);
    }
}

/// What may change in a Job, after its validation.
pub fn job_update(object: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::Root.child("spec");
    let (new, before) = (&object["spec"], &old["spec"]);
    completions(new, before, &path, errors);
    errors.immutable(&path.child("selector"), &new["selector"], &before["selector"]);
    template_update(new, old, &path, errors);
    errors.immutable(&path.child("completionMode"), &new["completionMode"], &before["completionMode"]);
    for (field, shape) in [
        ("podFailurePolicy", "PodFailurePolicy"),
        ("backoffLimitPerIndex", ""),
        ("managedBy", ""),
        ("successPolicy", "SuccessPolicy"),
    ] {
        if new[field] != before[field] {
            let plain = shape.is_empty() || new[field].is_null();
            let told = if plain { new[field].clone() } else { internal::of(shape, &new[field]) };
            errors.invalid(&path.child(field), told, IMMUTABLE);
        }
    }
}

/// A template changes where the Job is suspended and has no pods: in where its
/// pods may run and what they ask for.
fn template_update(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (before, status) = (&old["spec"], &old["status"]);
    let stopped = status["conditions"]
        .items()
        .iter()
        .any(|condition| condition["type"].text() == "Suspended" && condition["status"].text() == "True");
    let has_pods = status["active"].as_i64().unwrap_or(0) > 0;
    let field = path.child("template");
    if !before["suspend"].is_true() || has_pods || !(stopped || status["startTime"].is_null()) {
        if new["template"] != before["template"] {
            errors.invalid(&field, internal::of("PodTemplateSpec", &new["template"]), IMMUTABLE);
        }
        return;
    }
    let mut munged = new["template"]["spec"].clone();
    let earlier = &before["template"]["spec"];
    for name in ["nodeSelector", "tolerations", "schedulingGates"] {
        crate::changes::keep(&mut munged, earlier, name);
    }
    pod::take_node_affinity(&mut munged, earlier);
    take_resources(&mut munged, earlier);
    if munged != *earlier {
        let told = internal::of("PodSpec", &new["template"]["spec"]);
        errors.invalid(&field.child("spec"), told, IMMUTABLE);
    }
}

/// Resources of the same containers as they were: a suspended Job may ask for others.
fn take_resources(spec: &mut Value, before: &Value) {
    for list in ["containers", "initContainers"] {
        if spec[list].items().len() != before[list].items().len() {
            continue;
        }
        for (container, old) in crate::changes::items(spec, list).iter_mut().zip(before[list].items()) {
            if container["name"] == old["name"] {
                crate::changes::keep(container, old, "resources");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(suspended: bool) -> Value {
        value!({"spec": {
            "suspend": suspended, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "nodeSelector": {"a": "b"}, "containers": [{"name": "c", "image": "i"}]
            }}
        }})
    }

    #[test]
    fn templates_change_where_no_pod_is_made_of_them() {
        let change = |path: &[&'static str], value: Value| {
            let mut object = old(false);
            object.entry("spec").entry("template").set_at(path, value);
            object
        };
        let with_labels = change(&["metadata", "labels"], value!({"a": "c"}));
        let elsewhere = change(&["spec", "nodeSelector"], value!({"a": "c"}));
        let asking = change(
            &["spec", "containers"],
            value!([{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]),
        );
        let other = change(&["spec", "containers"], value!([{"name": "c", "image": "j"}]));
        for (new, suspended, expected) in [
            (&with_labels, false, "spec.template"),
            (&with_labels, true, ""),
            (&elsewhere, true, ""),
            (&asking, true, ""),
            (&asking, false, "spec.template"),
            (&other, true, "spec.template.spec"),
        ] {
            let mut errors = Errors::new();
            template_update(&new["spec"], &old(suspended), &Path::Root.child("spec"), &mut errors);
            let told: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(told.join(" "), expected);
        }
    }

    #[test]
    fn pods_of_indexed_jobs_have_names() {
        let job = |name: &str, mode: &str| {
            let mut errors = Errors::new();
            let object =
                value!({"metadata": {"name": name}, "spec": {"completionMode": mode, "completions": 11}});
            name_fits(&object, &mut errors);
            errors.len()
        };
        assert_eq!(job("a", "Indexed"), 0);
        assert_eq!(job(&"a".repeat(61), "Indexed"), 1);
        assert_eq!(job(&"a".repeat(61), "NonIndexed"), 0);
    }
}
