//! What may be said of a Job's progress: numbers that fit each other, and ends
//! that are said in order and stay.
//!
//! As upstream, most is looked at only where a write changes it, so that what
//! was stored before stays writable.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};

use super::indexes;
use crate::rules::{internal, invalid_unquoted, non_negative};

/// A condition that is true.
fn has(job: &Value, condition: &str) -> bool {
    job["status"]["conditions"]
        .items()
        .iter()
        .any(|known| known["type"].text() == condition && known["status"].text() == "True")
}

fn is_finished(job: &Value) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

/// A Job's status, after `old`.
pub fn job(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("status");
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        non_negative(&path.child(field), &object["status"][field], &mut errors);
    }
    uncounted(&object["status"]["uncountedTerminatedPods"], &path, &mut errors);
    ends(object, old, &path, &mut errors);
    pods_of_finished(object, old, &path, &mut errors);
    indexed(object, old, &path, &mut errors);
    pods_left(object, old, &path, &mut errors);
    success(object, &path.child("conditions"), &mut errors);
    changes(object, old, &path, &mut errors);
    errors
}

/// Pods that ended and are not in the numbers yet, each once.
fn uncounted(pods: &Value, path: &Path<'_>, errors: &mut Errors) {
    let parent = path.child("uncountedTerminatedPods");
    let mut seen: HashSet<&str> = HashSet::new();
    for list in ["succeeded", "failed"] {
        let field = parent.child(list);
        for (at, pod) in pods[list].items().iter().enumerate() {
            let uid = pod.text();
            if uid.is_empty() {
                errors.invalid(&field.index(at), uid, "must not be empty");
            } else if seen.contains(&uid) {
                errors.duplicate(&field.index(at), Named(uid));
            }
            seen.insert(uid);
        }
    }
}

fn ends(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let conditions = path.child("conditions");
    let changed = |condition: &str| has(object, condition) != has(old, condition);
    let new = |field: &str| object["status"][field] != old["status"][field];
    let (complete, failed) = (has(object, "Complete"), has(object, "Failed"));
    let (started, completed) = (&object["status"]["startTime"], &object["status"]["completionTime"]);
    if (changed("Complete") || changed("Failed")) && complete && failed {
        invalid_unquoted(&conditions, "cannot set Complete=True and Failed=true conditions", errors);
    }
    if (changed("Complete") || changed("FailureTarget")) && complete && has(object, "FailureTarget") {
        invalid_unquoted(&conditions, "cannot set Complete=True and FailureTarget=true conditions", errors);
    }
    let field = path.child("completionTime");
    if changed("Complete") || new("completionTime") {
        if !completed.is_null() && !complete {
            let why = "cannot set completionTime when there is no Complete=True condition";
            errors.invalid(&field, completed.clone(), why);
        }
        if completed.is_null() && complete {
            errors.required(&field, "completionTime is required for Complete jobs");
        }
    }
    // Times of the API are of one length and zone: their texts compare as they do.
    let reversed = !started.is_null() && !completed.is_null() && completed.text() < started.text();
    if (new("startTime") || new("completionTime")) && reversed {
        errors.invalid(&field, completed.clone(), "must be equal to or after `startTime`");
    }
    if (changed("Failed") || new("failedIndexes")) && failed && !has(object, "FailureTarget") {
        let why = "cannot set Failed=True condition without the FailureTarget=true condition";
        invalid_unquoted(&conditions, why, errors);
    }
    let met = has(object, "SuccessCriteriaMet");
    if (changed("Complete") || changed("SuccessCriteriaMet")) && complete && !met {
        let why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        invalid_unquoted(&conditions, why, errors);
    }
}

fn pods_of_finished(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let status = &object["status"];
    let finished = is_finished(object);
    let changed = finished != is_finished(old);
    let new = |field: &str| !crate::rules::same(&status[field], &old["status"][field]);
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    if finished && (changed || new("active")) && number("active") > 0 {
        errors.invalid(&path.child("active"), number("active"), "active>0 is invalid for finished job");
    }
    let nothing_asked =
        object["spec"]["suspend"].is_true() && object["spec"]["completions"].as_i64() == Some(0);
    if finished && (changed || new("startTime")) && !nothing_asked && status["startTime"].is_null() {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    let uncounted = &status["uncountedTerminatedPods"];
    let some = ["succeeded", "failed"].iter().any(|list| !uncounted[*list].items().is_empty());
    if finished && (changed || new("uncountedTerminatedPods")) && some {
        let told = internal::of("UncountedTerminatedPods", uncounted);
        errors.invalid(&path.child("uncountedTerminatedPods"), told, "must be empty for finished job");
    }
}

/// Pods that still end or are ready.
fn pods_left(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let status = &object["status"];
    let finished = is_finished(object);
    let changed = finished != is_finished(old);
    let new = |field: &str| !crate::rules::same(&status[field], &old["status"][field]);
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    if finished && (changed || new("terminating")) && number("terminating") > 0 {
        let why = "terminating>0 is invalid for finished job";
        errors.invalid(&path.child("terminating"), number("terminating"), why);
    }
    if (new("ready") || new("active")) && number("ready") > number("active") {
        errors.invalid(&path.child("ready"), number("ready"), "cannot set more ready pods than active");
    }
}

/// Success is said before completion, and excludes failure (KEP-3998).
fn success(object: &Value, conditions: &Path<'_>, errors: &mut Errors) {
    let met = has(object, "SuccessCriteriaMet");
    if met && has(object, "Failed") {
        invalid_unquoted(conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions", errors);
    }
    if met && has(object, "FailureTarget") {
        let why = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
        invalid_unquoted(conditions, why, errors);
    }
    if !object["spec"]["successPolicy"].is_null() && !met && has(object, "Complete") {
        let why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        invalid_unquoted(conditions, why, errors);
    }
}

fn indexed(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (spec, status) = (&object["spec"], &object["status"]);
    let is_new = |field: &str| status[field] != old["status"][field];
    let (done, lost) = (&status["completedIndexes"], &status["failedIndexes"]);
    let by_index = !spec["backoffLimitPerIndex"].is_null();
    for (field, list, counts) in [("completedIndexes", done, true), ("failedIndexes", lost, by_index)] {
        let text = list.text();
        if is_new(field)
            && counts
            && let Some(completions) = spec["completions"].as_i64()
            && let Err(why) = indexes::count(text, completions)
        {
            errors.invalid(&path.child(field), Named(text), &format!("error parsing {field}: {why}"));
        }
    }
    if is_new("completedIndexes") && !done.text().is_empty() && spec["completionMode"].text() != "Indexed" {
        let why = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(&path.child("completedIndexes"), done.text(), why);
    }
    if is_new("failedIndexes") && !lost.is_null() && !by_index {
        let why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(&path.child("failedIndexes"), lost.text(), why);
    }
    if (is_new("completedIndexes") || is_new("failedIndexes"))
        && let (Some(completions), Some(failed)) =
            (spec["completions"].as_i64(), status["failedIndexes"].as_str())
        && let Some(index) = indexes::overlap(status["completedIndexes"].text(), failed, completions)
    {
        let why = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(&path.child("failedIndexes"), failed, &why);
    }
}

/// What was true or counted stays so.
fn changes(object: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if has(old, condition) && !has(object, condition) {
            let why = format!("cannot disable the terminal {condition}=True condition");
            invalid_unquoted(&path.child("conditions"), &why, errors);
        }
    }
    let number = |job: &Value, field: &str| job["status"][field].as_i64().unwrap_or(0);
    // A job whose completions follow its parallelism can become smaller.
    let spec = &object["spec"];
    let elastic = spec["completionMode"].text() == "Indexed" && spec["completions"] == spec["parallelism"];
    for field in ["failed", "succeeded"] {
        let may_shrink = field == "succeeded" && elastic;
        if !may_shrink && number(object, field) < number(old, field) {
            let why = format!("cannot decrease the {field} counter");
            errors.invalid(&path.child(field), number(object, field), &why);
        }
    }
    let (now, before) = (&object["status"]["completionTime"], &old["status"]["completionTime"]);
    if !now.is_null() && !before.is_null() && now != before {
        errors.invalid(&path.child("completionTime"), now.clone(), "field is immutable");
    }
    let (now, before) = (&object["status"]["startTime"], &old["status"]["startTime"]);
    let suspended = |job: &Value, status: &str| {
        let conditions = job["status"]["conditions"].items();
        conditions.iter().any(|known| known["type"].text() == "Suspended" && known["status"].text() == status)
    };
    let resumes = suspended(old, "True") && suspended(object, "False");
    if !before.is_null() && now != before && !spec["suspend"].is_true() && !resumes {
        let why = "field is immutable for unsuspended job once set";
        errors.invalid(&path.child("startTime"), now.clone(), why);
    }
    let (met, before) = (has(object, "SuccessCriteriaMet"), has(old, "SuccessCriteriaMet"));
    if before && !met {
        let why = "cannot disable the SuccessCriteriaMet=True condition";
        invalid_unquoted(&path.child("conditions"), why, errors);
    }
    if has(old, "Complete") && !before && met {
        let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        invalid_unquoted(&path.child("conditions"), why, errors);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn with(status: Value) -> Value {
        value!({"spec": {"completions": 3}, "status": status})
    }

    fn is(kinds: &[&str]) -> Value {
        Value::Array(kinds.iter().map(|kind| value!({"type": *kind, "status": "True"})).collect())
    }

    #[test]
    fn a_job_ends_in_order() {
        let (start, end) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
        for (status, told) in [
            (value!({"active": 1, "ready": 1, "startTime": start}), vec![]),
            (value!({"active": 1, "ready": 2}), vec!["status.ready"]),
            (
                value!({"startTime": start, "completionTime": end, "conditions": is(&["SuccessCriteriaMet", "Complete"])}),
                vec![],
            ),
            (value!({"startTime": start, "completionTime": end}), vec!["status.completionTime"]),
            (
                value!({"startTime": start, "conditions": is(&["Complete"])}),
                vec!["status.completionTime", "status.conditions"],
            ),
            (value!({"startTime": start, "conditions": is(&["Failed"])}), vec!["status.conditions"]),
            (
                value!({"active": 1, "conditions": is(&["FailureTarget", "Failed"])}),
                vec!["status.active", "status.startTime"],
            ),
            (value!({"completedIndexes": "0"}), vec!["status.completedIndexes"]),
            (
                value!({"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a", ""]}}),
                vec!["status.uncountedTerminatedPods.failed[0]", "status.uncountedTerminatedPods.failed[1]"],
            ),
        ] {
            let errors = job(&with(status), &with(value!({})));
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, told, "{errors}");
        }
    }

    #[test]
    fn success_excludes_failure_and_stays() {
        let met = || with(value!({"conditions": is(&["SuccessCriteriaMet"])}));
        for (kinds, told) in
            [(vec!["SuccessCriteriaMet"], 0), (vec!["SuccessCriteriaMet", "FailureTarget"], 1), (vec![], 1)]
        {
            let errors = job(&with(value!({"conditions": is(&kinds)})), &met());
            assert_eq!(errors.len(), told, "{errors}");
        }
    }

    #[test]
    fn what_was_counted_stays() {
        let old = with(
            value!({"failed": 2, "startTime": "2026-01-01T00:00:00Z", "conditions": is(&["FailureTarget"])}),
        );
        let errors = job(&with(value!({"failed": 1})), &old);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["status.conditions", "status.failed", "status.startTime"]);
    }
}
