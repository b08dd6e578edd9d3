//! Job, and the labels by which it finds its pods.

use apimachinery::field::Errors;
use apimachinery::{Value, meta};
use apiserver::{Context, Orphaning, Strategy, Version};
use jiff::Timestamp;

use crate::changes::default_template;

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
        select_own_pods(object);
    }

    /// batch/v1 Jobs orphaned their pods when deletion said nothing, and still do for `v1` clients.
    fn orphaning(&self) -> Orphaning {
        Orphaning::Orphan
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::job(object, now)
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::job(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        super::validation::job_update(object, old, &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        super::validation::job_status(object)
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::changes::template_warnings(object, old)
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
    let labels = object.entry_at(&["spec", "template", "metadata", "labels"]);
    for (label, value) in
        [(LEGACY_CONTROLLER_UID, &uid), (LEGACY_JOB_NAME, &name), (CONTROLLER_UID, &uid), (JOB_NAME, &name)]
    {
        // A label with another value stays: validation refuses it.
        if labels[label].is_null() {
            labels.set(label, value.as_str());
        }
    }
    if let Some(labels) = labels.as_object_mut() {
        labels.sort();
    }
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let selector = object.entry_at(&["spec", "selector", "matchLabels"]);
    if selector[CONTROLLER_UID].is_null() {
        selector.set(CONTROLLER_UID, uid);
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
        assert_eq!(job["metadata"]["labels"]["job-name"].text(), "j");
        let mut manual = made(value!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}}));
        select_own_pods(&mut manual);
        assert_eq!(manual["spec"]["selector"], value!({"matchLabels": {"a": "b"}}));
    }
}
