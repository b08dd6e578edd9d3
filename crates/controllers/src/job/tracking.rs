//! Counts ended pods exactly once (KEP-2307). Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, UncountedTerminatedPods};

use super::failures::{Verdict, has_failed, verdict};
use super::{TRACKING, indexes};
use crate::pods::{Phase, PodView};

/// What a Job's ended pods add up to.
#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    pub succeeded: i32,
    pub failed: i32,
    /// Succeeded indexes, of an indexed Job.
    pub completed: BTreeSet<i32>,
    /// Failed indexes, of a Job with a limit per index.
    pub failed_indexes: BTreeSet<i32>,
    /// Uids in the status whose finalizers may still be there.
    pub uncounted: UncountedTerminatedPods,
    /// Pods whose finalizer goes once the status is written.
    pub release: Vec<Arc<PodView>>,
    /// The policy's word on a pod that ends the Job.
    pub fail_job: Option<String>,
}

impl Counts {
    /// Succeeded pods, those being counted too.
    pub fn all_succeeded(&self) -> i32 {
        self.succeeded + self.uncounted.succeeded.as_ref().map_or(0, Vec::len) as i32
    }

    /// Failed pods, those being counted too.
    pub fn all_failed(&self) -> i32 {
        self.failed + self.uncounted.failed.as_ref().map_or(0, Vec::len) as i32
    }
}

fn is_tracked(pod: &PodView) -> bool {
    pod.finalizers.iter().any(|finalizer| finalizer == TRACKING)
}

pub fn is_indexed(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.completion_mode.as_deref() == Some("Indexed"))
}

/// `remaining` tells that the Job is being ended, so that living pods that are
/// being deleted count as failed.
pub fn count(job: &Job, pods: &[Arc<PodView>]) -> Counts {
    let Some(spec) = &job.spec else { return Counts::default() };
    let status = job.status.clone().unwrap_or_default();
    let completions = spec.completions.unwrap_or(0);
    let indexed = is_indexed(job);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let before = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let mut counts = Counts {
        succeeded: status.succeeded.unwrap_or(0),
        failed: status.failed.unwrap_or(0),
        completed: indexes::parse(&text(&status.completed_indexes), completions),
        failed_indexes: indexes::parse(&text(&status.failed_indexes), completions),
        ..Counts::default()
    };
    let tracked: BTreeSet<&str> =
        pods.iter().filter(|pod| is_tracked(pod)).map(|pod| pod.uid.as_str()).collect();
    // Those whose finalizer is gone are counted now.
    let settle = |uids: Option<Vec<String>>| -> (Vec<String>, i32) {
        let (open, gone): (Vec<_>, Vec<_>) =
            uids.unwrap_or_default().into_iter().partition(|uid| tracked.contains(uid.as_str()));
        (open, gone.len() as i32)
    };
    let (mut open_succeeded, settled) = settle(before.succeeded);
    counts.succeeded += settled;
    let (mut open_failed, settled) = settle(before.failed);
    counts.failed += settled;

    for pod in pods.iter().filter(|pod| is_tracked(pod)) {
        let known = open_succeeded.contains(&pod.uid) || open_failed.contains(&pod.uid);
        if known {
            counts.release.push(pod.clone());
            continue;
        }
        if pod.phase == Phase::Succeeded {
            match pod.completion_index.filter(|_| indexed) {
                None if indexed => {}
                None => open_succeeded.push(pod.uid.clone()),
                // An index is its own count.
                Some(index) if index < completions => {
                    counts.completed.insert(index);
                }
                Some(_) => {}
            }
            counts.release.push(pod.clone());
        } else if has_failed(spec, pod) {
            let verdict = verdict(spec, pod);
            if let Verdict::FailJob(why) = &verdict {
                counts.fail_job.get_or_insert_with(|| why.clone());
            }
            if let (Some(limit), Some(index)) = (spec.backoff_limit_per_index, pod.completion_index) {
                let beyond = verdict != Verdict::Ignore && pod.index_failures >= limit;
                if beyond || verdict == Verdict::FailIndex {
                    counts.failed_indexes.insert(index);
                }
            }
            if verdict != Verdict::Ignore {
                open_failed.push(pod.uid.clone());
            }
            counts.release.push(pod.clone());
        }
    }
    for index in &counts.completed {
        counts.failed_indexes.remove(index);
    }
    if indexed {
        counts.succeeded = counts.completed.len() as i32;
    }
    let some = |uids: Vec<String>| Some(uids).filter(|uids| !uids.is_empty());
    counts.uncounted = UncountedTerminatedPods { succeeded: some(open_succeeded), failed: some(open_failed) };
    counts
}
