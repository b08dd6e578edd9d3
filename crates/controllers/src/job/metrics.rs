//! What the Job controller counts (`job_controller_…`). What a sync adds is
//! worked out purely.

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use serve::families::{Counter, Description, Families, Histogram, exponential};
use tokio::time::Instant;

use super::plan::Plan;
use super::tracking::is_indexed;
use super::{TRACKING, indexes};
use crate::pods::PodView;

#[derive(Clone)]
pub(super) struct Metrics {
    syncs: Counter,
    sync_seconds: Histogram,
    finished: Counter,
    pods_finished: Counter,
    indexes_finished: Counter,
    policy: Counter,
    pods_created: Counter,
    tracked: Counter,
    external: Counter,
    stale: Counter,
}

impl Metrics {
    pub fn among(families: &Families) -> Self {
        let sync = &["completion_mode", "result", "action"];
        Self {
            syncs: families.counter(Description {
                name: "job_controller_job_syncs_total",
                help: "[STABLE] The number of job syncs",
                labels: sync,
            }),
            sync_seconds: families.histogram(
                Description {
                    name: "job_controller_job_sync_duration_seconds",
                    help: "[STABLE] The time it took to sync a job",
                    labels: sync,
                },
                exponential(0.004, 2.0, 15),
            ),
            finished: families.counter(Description {
                name: "job_controller_jobs_finished_total",
                help: "[STABLE] The number of finished jobs",
                labels: &["completion_mode", "result", "reason"],
            }),
            pods_finished: families.counter(Description {
                name: "job_controller_job_pods_finished_total",
                help: "[STABLE] The number of finished Pods that are fully tracked",
                labels: &["completion_mode", "result"],
            }),
            indexes_finished: families.counter(Description {
                name: "job_controller_job_finished_indexes_total",
                help: "[ALPHA] The number of finished indexes. Possible values for the status label are: \
                       \"succeeded\", \"failed\". Possible values for the backoffLimit label are: \"perIndex\" \
                       and \"global\"",
                labels: &["status", "backoffLimit"],
            }),
            policy: families.counter(Description {
                name: "job_controller_pod_failures_handled_by_failure_policy_total",
                help: "[BETA] The number of failed Pods handled by failure policy, by the action of the rule \
                       that matched: \"FailJob\", \"Ignore\", \"Count\" or \"FailIndex\".",
                labels: &["action"],
            }),
            pods_created: families.counter(Description {
                name: "job_controller_job_pods_creation_total",
                help: "[ALPHA] The number of Pods created by the Job controller labelled with a reason for the \
                       Pod creation. Possible values of the \"reason\" label are: \"new\", \
                       \"recreate_terminating_or_failed\", \"recreate_failed\". Possible values of the \
                       \"status\" label are: \"succeeded\", \"failed\".",
                labels: &["reason", "status"],
            }),
            tracked: families.counter(Description {
                name: "job_controller_terminated_pods_tracking_finalizer_total",
                help: "[BETA] The number of terminated pods (phase=Failed|Succeeded) that have the finalizer \
                       batch.kubernetes.io/job-tracking. The event label can be \"add\" or \"delete\".",
                labels: &["event"],
            }),
            external: families.counter(Description {
                name: "job_controller_jobs_by_external_controller_total",
                help: "[ALPHA] The number of Jobs managed by an external controller",
                labels: &["controller_name"],
            }),
            stale: families.counter(Description {
                name: "job_controller_stale_sync_skips_total",
                help: "[ALPHA] Total number of Job syncs skipped due to a stale watch cache.",
                labels: &["group", "resource"],
            }),
        }
    }

    /// A sync that began at `since`.
    pub fn synced(&self, job: &Job, action: &str, failed: bool, since: Instant) {
        let labels = [mode(job), if failed { "error" } else { "success" }, action];
        self.syncs.increase(&labels);
        self.sync_seconds.observe(&labels, since.elapsed().as_secs_f64());
    }

    /// The view of Jobs was behind, so that nothing was done.
    pub fn skipped(&self) {
        self.stale.increase(&["batch", "jobs"]);
    }

    /// A Job that somebody else runs was seen for the first time.
    pub fn external(&self, manager: &str) {
        self.external.increase(&[manager]);
    }

    /// A Job ended, as its last condition says.
    pub fn ended(&self, job: &Job, failed: bool, reason: &str) {
        self.finished.increase(&[mode(job), if failed { "failed" } else { "succeeded" }, reason]);
    }

    /// The status was written: the pods and indexes that it counts are done.
    pub fn counted(&self, job: &Job, now: &JobStatus) {
        let Some(spec) = &job.spec else { return };
        let new = newly_finished(spec, &job.status.clone().unwrap_or_default(), now);
        let add = |counter: &Counter, labels: [&str; 2], more: i32| {
            if more > 0 {
                counter.add(&labels, more.into());
            }
        };
        add(&self.pods_finished, [mode(job), "succeeded"], new.succeeded);
        add(&self.pods_finished, [mode(job), "failed"], new.failed);
        if is_indexed(job) {
            let limit = if spec.backoff_limit_per_index.is_some() { "perIndex" } else { "global" };
            add(&self.indexes_finished, ["succeeded", limit], new.succeeded);
            add(&self.indexes_finished, ["failed", limit], new.failed_indexes);
        }
    }

    /// The pod failure policy had its say on a pod that was let go.
    pub fn ruled(&self, action: &str) {
        self.policy.increase(&[action]);
    }

    /// Pods were created, or could not be.
    pub fn created(&self, spec: &JobSpec, status: &JobStatus, succeeded: usize, failed: usize) {
        for (result, count) in [("succeeded", succeeded), ("failed", failed)] {
            if count > 0 {
                self.pods_created.add(&[creation_reason(spec, status), result], count as f64);
            }
        }
    }

    /// A pod changed.
    pub fn note_pod(&self, old: Option<&PodView>, new: Option<&PodView>) {
        match (waits_to_be_counted(old), waits_to_be_counted(new)) {
            (false, true) => self.tracked.increase(&["add"]),
            (true, false) => self.tracked.increase(&["delete"]),
            _ => {}
        }
    }
}

fn waits_to_be_counted(pod: Option<&PodView>) -> bool {
    pod.is_some_and(|pod| pod.has_ended() && pod.finalizers.iter().any(|finalizer| finalizer == TRACKING))
}

fn mode(job: &Job) -> &'static str {
    if is_indexed(job) { "Indexed" } else { "NonIndexed" }
}

/// What a sync did, as its label says.
pub fn action(plan: &Plan) -> &'static str {
    match (plan.managed, plan.delete.is_empty(), plan.create.is_empty()) {
        (false, ..) => "reconciling",
        (true, false, _) => "pods_deleted",
        (true, true, false) => "pods_created",
        (true, true, true) => "tracking",
    }
}

/// Why pods are created.
pub fn creation_reason(spec: &JobSpec, status: &JobStatus) -> &'static str {
    let uncounted = status.uncounted_terminated_pods.as_ref().and_then(|pods| pods.failed.as_ref());
    let failed = status.failed.unwrap_or(0) > 0 || uncounted.is_some_and(|uids| !uids.is_empty());
    if failed && spec.pod_replacement_policy.as_deref() == Some("Failed") {
        "recreate_failed"
    } else if failed || status.terminating.unwrap_or(0) > 0 {
        "recreate_terminating_or_failed"
    } else {
        "new"
    }
}

/// What a status counts beyond the one before.
#[derive(Debug, PartialEq)]
pub struct Finished {
    pub succeeded: i32,
    pub failed: i32,
    pub failed_indexes: i32,
}

/// Of an indexed Job its indexes count, for it may have been made smaller.
pub fn newly_finished(spec: &JobSpec, before: &JobStatus, now: &JobStatus) -> Finished {
    let completions = spec.completions.unwrap_or(0);
    let count =
        |text: &Option<String>| indexes::parse(text.as_deref().unwrap_or_default(), completions).len() as i32;
    let number = |count: Option<i32>| count.unwrap_or(0);
    let succeeded = match spec.completion_mode.as_deref() {
        Some("Indexed") => count(&now.completed_indexes) - count(&before.completed_indexes),
        _ => number(now.succeeded) - number(before.succeeded),
    };
    Finished {
        succeeded,
        failed: number(now.failed) - number(before.failed),
        failed_indexes: count(&now.failed_indexes) - count(&before.failed_indexes),
    }
}
