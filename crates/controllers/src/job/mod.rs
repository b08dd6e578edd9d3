//! Job: pods that run to completion.
//!
//! Watches Jobs and pods; owns its pods, their finalizer
//! `batch.kubernetes.io/job-tracking` and the status of its Jobs. A pod is
//! counted exactly once: its uid stands in the status before its finalizer
//! goes, and its finalizer goes before its uid does.

mod act;
mod failures;
mod indexes;
mod metrics;
mod plan;
mod template;
#[cfg(test)]
mod tests;
mod tracking;

use std::sync::Arc;
use std::time::Duration;

use informer::{Change, ObjectKey};

use crate::pods::PodView;
use crate::{Context, expectations::Expectations};

/// The finalizer of pods that are not counted yet.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// Changes of pods that neither begin nor end anything are looked at together
/// (`syncJobBatchPeriod`).
const BATCH: Duration = Duration::from_secs(1);

/// Whether a pod did nothing but go on: it was there, is there, and has
/// neither ended nor begun to.
fn runs_on(change: &Change<'_, PodView>) -> bool {
    let (Some(old), Some(new)) = (change.old, change.new) else { return false };
    let lives = |pod: &PodView| !pod.has_ended() && !pod.terminating;
    old.uid == new.uid && old.controller == new.controller && lives(old) && lives(new)
}

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("job");
    let expectations = Arc::new(Expectations::default());
    let jobs = context.jobs().clone();
    let pods = context.pods().clone();
    let metrics = metrics::Metrics::among(context.metrics());

    let (changed, counted) = (queue.clone(), metrics.clone());
    jobs.on_change(move |change| {
        if let (None, Some(job)) = (change.old, change.new)
            && let Some(manager) = act::external_manager(&job.0)
        {
            counted.external(manager);
        }
        changed.add(change.key.clone());
    });

    let (changed, seen, owners) = (queue.clone(), expectations.clone(), jobs.clone());
    let counted = metrics.clone();
    pods.on_change(move |change| {
        counted.note_pod(change.old.map(AsRef::as_ref), change.new.map(AsRef::as_ref));
        for pod in [change.old, change.new].into_iter().flatten() {
            match &pod.controller {
                Some(owner) if owner.kind == "Job" => {
                    let key = ObjectKey::new(pod.namespace.clone(), owner.name.clone());
                    if runs_on(&change) { changed.add_after(key, BATCH) } else { changed.add(key) }
                }
                Some(_) => {}
                None => owners.namespace(&pod.namespace).iter().for_each(|job| {
                    changed.add(ObjectKey::of(&job.metadata));
                }),
            }
        }
        seen.note_pod_change("Job", &change);
    });

    let reconciler = act::Jobs {
        edge: context.edge.clone(),
        transport: context.transport("job-controller"),
        recorder: context.recorder("job-controller"),
        jobs: jobs.clone(),
        pods: pods.clone(),
        expectations,
        written: Default::default(),
        metrics,
    };
    context.run(queue, reconciler, 5, async move {
        jobs.synced().await;
        pods.synced().await;
    });
}
