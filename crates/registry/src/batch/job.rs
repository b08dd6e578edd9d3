//! Job, and the labels by which it finds its pods.

use apimachinery::field::{Errors, Path};
use apimachinery::{Value, meta};
use apiserver::{Context, Definition, DeleteOptions, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_template, is_new_generation, name_warnings, sort};
use crate::core::pod::gated;
use crate::core::pod::validation::template_warnings;

/// Labels on a Job's pods; the last two are older names.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const LEGACY_CONTROLLER_UID: &str = "controller-uid";
const LEGACY_JOB_NAME: &str = "job-name";

/// Job.
pub struct Job;

impl Strategy for Job {
    fn default(&self, _: &str, object: &mut Value) {
        default_template(object);
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        let spec = object.entry("spec");
        if spec["completions"].is_null() && spec["parallelism"].is_null() {
            spec.set("completions", 1);
        }
        if spec["backoffLimit"].is_null() {
            let limit = if spec["backoffLimitPerIndex"].is_null() { 6 } else { i32::MAX };
            spec.set("backoffLimit", limit);
        }
        if spec["podReplacementPolicy"].text().is_empty() {
            let failed = !spec["podFailurePolicy"].is_null();
            spec.set("podReplacementPolicy", if failed { "Failed" } else { "TerminatingOrFailed" });
        }
        share_labels(object, labels);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object.entry("spec"), &Value::Null);
        select_own_pods(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object.entry("spec"), &old["spec"]);
    }

    /// A Job without labels has those of its template again when it is read.
    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        share_labels(object, labels);
    }

    /// batch/v1 Jobs orphaned their pods when deletion said nothing, and still do for `v1` clients.
    fn orphaning(&self) -> Orphaning {
        Orphaning::Orphan
    }

    fn delete_warnings(&self, options: &DeleteOptions) -> Vec<&'static str> {
        if options.propagation.is_some() {
            return Vec::new();
        }
        vec![
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove \
             them or set propagationPolicy=Orphan to suppress this warning",
        ]
    }

    fn unselectable(&self, definition: &Definition, _: &Version, field: &str) -> String {
        format!("field label {field:?} not supported for {}", definition.kind)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::job(object, now)
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = super::validation::job(object, true);
        super::validation::name_fits(object, &mut errors);
        super::validation::declared(&object["spec"], &Path::Root.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = super::validation::job(object, false);
        super::validation::job_update(object, old, &mut errors);
        super::validation::name_fits(object, &mut errors);
        super::validation::declared(&object["spec"], &Path::Root.child("spec"), &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::status::job(object, old)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = name_warnings(object, old);
        if is_new_generation(object, old) {
            spec_warnings(&object["spec"], &Path::Root.child("spec"), &mut warnings);
        }
        warnings
    }
}

/// Above these two an indexed Job may not be able to say which of its indexes are done.
const MANY_COMPLETIONS: i64 = 100_000;
const MANY_AT_ONCE: i64 = 10_000;

/// Warnings about a JobSpec at `path`.
pub(super) fn spec_warnings(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let number = |field: &str| spec[field].as_i64().unwrap_or(0);
    if spec["completionMode"].text() == "Indexed"
        && number("completions") > MANY_COMPLETIONS
        && number("parallelism") > MANY_AT_ONCE
    {
        warnings.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    warnings.extend(template_warnings(&spec["template"], &path.child("template")));
}

/// Drops from a JobSpec what is of features that are off.
pub(super) fn drop_disabled(spec: &mut Value, old: &Value) {
    if old["scheduling"].is_null() {
        spec.remove("scheduling");
    }
    if let Some(pod) = spec.get_mut("template").and_then(|template| template.get_mut("spec")) {
        gated::drop_from(pod, &old["template"]["spec"]);
    }
}

/// A Job without labels of its own has those of its template.
fn share_labels(object: &mut Value, labels: Value) {
    if labels.members().next().is_some() && object["metadata"]["labels"].members().next().is_none() {
        object.entry("metadata").set("labels", labels);
    }
}

/// Gives a new Job its selector and labels, unless it chose its own
/// (`manualSelector`). The Job has its uid already.
fn select_own_pods(object: &mut Value) {
    if object["spec"]["manualSelector"].is_true() {
        return;
    }
    let uid = meta::uid(object).to_owned();
    let name = meta::name(object).to_owned();
    // Labels that a Job has from its template are the template's own in
    // upstream: what joins them there is the Job's too.
    if object["metadata"]["labels"] == object["spec"]["template"]["metadata"]["labels"] {
        object.entry("metadata").remove("labels");
    }
    let labels = object.entry_at(&["spec", "template", "metadata", "labels"]);
    for (label, value) in
        [(LEGACY_CONTROLLER_UID, &uid), (LEGACY_JOB_NAME, &name), (CONTROLLER_UID, &uid), (JOB_NAME, &name)]
    {
        // A label with another value stays: validation refuses it.
        if labels[label].is_null() {
            labels.set(label, value.as_str());
        }
    }
    sort(labels);
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let selector = object.entry_at(&["spec", "selector", "matchLabels"]);
    if selector[CONTROLLER_UID].is_null() {
        selector.set(CONTROLLER_UID, uid);
        sort(selector);
    }
    share_labels(object, labels);
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn made(spec: Value) -> Value {
        let mut made = value!({"metadata": {"name": "j", "uid": "u"}, "spec": spec});
        Job.default("v1", &mut made);
        made
    }

    #[test]
    fn a_job_without_labels_has_those_of_its_template() {
        let spec = value!({"template": {"metadata": {"labels": {"a": "b"}}}});
        let cases = [(Value::Null, "b"), (value!({"a": "c"}), "c")];
        for (own, label) in cases {
            let mut job = value!({"metadata": {"name": "j", "labels": own}, "spec": spec.clone()});
            let labels = job["spec"]["template"]["metadata"]["labels"].clone();
            share_labels(&mut job, labels);
            assert_eq!(job["metadata"]["labels"]["a"].text(), label);
        }
    }

    #[test]
    fn a_plain_job_completes_once_and_a_parallel_one_when_one_succeeds() {
        assert_eq!(made(value!({}))["spec"]["completions"].as_i64(), Some(1));
        assert!(made(value!({"parallelism": 3}))["spec"]["completions"].is_null());
        assert_eq!(made(value!({"completions": 5}))["spec"]["completions"].as_i64(), Some(5));
    }

    #[test]
    fn a_limit_for_each_index_lifts_the_common_one() {
        assert_eq!(made(value!({}))["spec"]["backoffLimit"].as_i64(), Some(6));
        let each = made(value!({"backoffLimitPerIndex": 1}));
        assert_eq!(each["spec"]["backoffLimit"].as_i64(), Some(i64::from(i32::MAX)));
    }

    #[test]
    fn a_failure_policy_replaces_only_failed_pods() {
        let with = made(value!({"podFailurePolicy": {"rules": []}}));
        assert_eq!(with["spec"]["podReplacementPolicy"].text(), "Failed");
        assert_eq!(made(value!({}))["spec"]["podReplacementPolicy"].text(), "TerminatingOrFailed");
    }

    #[test]
    fn a_job_selects_its_own_pods_and_carries_their_labels() {
        let mut job = made(value!({"template": {"spec": {}}}));
        select_own_pods(&mut job);
        assert_eq!(
            job["spec"]["selector"]["matchLabels"],
            value!({"batch.kubernetes.io/controller-uid": "u"})
        );
        assert_eq!(job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]);
        let labels = value!({"a": "b"});
        let mut job = value!({"metadata": {"name": "j", "uid": "u", "labels": labels.clone()},
            "spec": {"template": {"metadata": {"labels": labels}}}});
        select_own_pods(&mut job);
        assert_eq!(job["metadata"]["labels"]["a"].text(), "b");
        assert_eq!(job["metadata"]["labels"]["job-name"].text(), "j");
        assert_eq!(job["metadata"]["labels"]["job-name"].text(), "j");
        let mut manual = made(value!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}}));
        select_own_pods(&mut manual);
        assert_eq!(manual["spec"]["selector"], value!({"matchLabels": {"a": "b"}}));
    }
}
