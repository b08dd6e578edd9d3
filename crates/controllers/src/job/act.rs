//! Carries out the plan of a Job.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::value;
use async_trait::async_trait;
use client::{Api, Error, Patch, Transport};
use edge::Edge;
use futures::future::join_all;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::TRACKING;
use super::failures;
use super::metrics::{self, Metrics};
use super::plan::{Observed, Plan, is_finished, plan};
use super::template;
use crate::batch::Batch;
use crate::claims::{self, Owner};
use crate::context::TRACKED;
use crate::expectations::{Expectations, PATIENCE};
use crate::pods::PodView;

pub(super) struct Jobs {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub jobs: Informer<Whole<Job>>,
    pub pods: Informer<PodView>,
    pub expectations: Arc<Expectations>,
    /// The revision that the last status of each Job was written at.
    pub written: Mutex<BTreeMap<ObjectKey, u64>>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for Jobs {
    fn name(&self) -> &'static str {
        "job"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let since = Instant::now();
        let job = self.jobs.get(key);
        self.free_orphans(key, job.as_ref().and_then(|job| job.metadata.uid.as_deref())).await?;
        let Some(job) = job else {
            self.expectations.forget(key);
            self.written.lock().remove(key);
            return Ok(Outcome::Done);
        };
        // The view of Jobs may be behind that of pods: one that shows pods as
        // counted and the Job without the count would have them run again. The
        // event that is on its way brings the key back.
        if revision(&job.0) < self.written.lock().get(key).copied() {
            self.metrics.skipped();
            return Ok(Outcome::Done);
        }
        if external_manager(&job.0).is_some() {
            return Ok(Outcome::Done);
        }
        let mut action = "reconciling";
        let result = self.sync(key, &job.0, &mut action).await;
        // One that ended before is only let go.
        if !is_finished(&job.0) {
            self.metrics.synced(&job.0, action, result.is_err(), since);
        }
        result
    }
}

/// Who runs the Job, where it is not this controller.
pub(super) fn external_manager(job: &Job) -> Option<&str> {
    let manager = job.spec.as_ref()?.managed_by.as_deref()?;
    (manager != "kubernetes.io/job-controller").then_some(manager)
}

impl Jobs {
    /// Plans and carries out; `action` becomes what the plan amounts to.
    async fn sync(&self, key: &ObjectKey, job: &Job, action: &mut &'static str) -> Result<Outcome, Error> {
        let expectations_met = self.expectations.are_met(key);
        let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let owner = Owner::of(job, selector).with_finalizer(TRACKING);
        let pods = claims::pods::<Job>(&owner, &self.transport, &key.namespace, &self.pods, |_| true).await?;
        let observed = Observed { job, pods, expectations_met, now: self.edge.clock.now() };
        let plan = plan(&observed);
        *action = metrics::action(&plan);
        let error = self.change_pods(key, job, &plan).await;
        // What follows relies on the status: a conflict begins anew.
        self.write_status(job, &plan).await?;
        self.release(&plan.release, job.spec.as_ref()).await?;
        match (error, plan.again) {
            (Some(error), _) => Err(error),
            (None, Some(after)) => Ok(Outcome::Again(after)),
            // What is waited for may have come and gone unseen, between two lists.
            (None, None) if !expectations_met => Ok(Outcome::Again(PATIENCE)),
            (None, None) => Ok(Outcome::Done),
        }
    }

    /// Pods of a Job of this name that is gone need no counting.
    async fn free_orphans(&self, key: &ObjectKey, living: Option<&str>) -> Result<(), Error> {
        let mut pods = self.pods.by_index(TRACKED, &key.to_string());
        pods.retain(|pod| pod.controller.as_ref().is_some_and(|owner| Some(owner.uid.as_str()) != living));
        if pods.is_empty() {
            return Ok(());
        }
        // The view of Jobs may be behind that of pods.
        let api = Api::<Job>::namespaced(self.transport.clone(), key.namespace.clone());
        let known = api.find(&key.name).await?.and_then(|job| job.metadata.uid);
        pods.retain(|pod| pod.controller.as_ref().map(|owner| &owner.uid) != known.as_ref());
        self.release(&pods, None).await
    }

    async fn change_pods(&self, key: &ObjectKey, job: &Job, plan: &Plan) -> Option<Error> {
        let batch = Batch {
            transport: self.transport.clone(),
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: key,
            about: Reference::to(job),
        };
        if !plan.delete.is_empty() {
            return batch.delete(&plan.delete).await;
        }
        let pods: Vec<_> = plan.create.iter().filter_map(|slot| template::pod(job, *slot)).collect();
        if pods.is_empty() {
            return None;
        }
        let made = batch.create(&pods).await;
        if let Some(spec) = &job.spec {
            self.metrics.created(spec, &plan.status, made.succeeded, made.failed);
        }
        made.error
    }

    async fn write_status(&self, job: &Job, plan: &Plan) -> Result<(), Error> {
        if job.status.as_ref() == Some(&plan.status) {
            return Ok(());
        }
        let namespace = job.metadata.namespace.clone().unwrap_or_default();
        let updated = Job { status: Some(plan.status.clone()), ..job.clone() };
        match Api::<Job>::namespaced(self.transport.clone(), namespace).update_status(&updated).await {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(written) => {
                if let Some(revision) = revision(&written) {
                    self.written.lock().insert(ObjectKey::of(&job.metadata), revision);
                }
            }
        }
        self.metrics.counted(job, &plan.status);
        let about = Reference::to(job);
        for (kind, reason, message) in &plan.news {
            if ["Complete", "Failed"].contains(kind) {
                self.metrics.ended(job, *kind == "Failed", reason);
            }
            match *kind {
                "Complete" => self.recorder.event(&about, EventType::Normal, "Completed", "Job completed"),
                "Failed" => {
                    self.recorder.event(&about, EventType::Warning, failure_reason(reason), message.clone());
                }
                "TooManySucceededPods" => {
                    self.recorder.event(&about, EventType::Warning, "TooManySucceededPods", message.clone());
                }
                kind => self.recorder.event(&about, EventType::Normal, kind, message.clone()),
            }
        }
        Ok(())
    }

    /// Removes the finalizer of pods that are accounted for, by the Job's
    /// `spec` where there still is one.
    async fn release(&self, pods: &[Arc<PodView>], spec: Option<&JobSpec>) -> Result<(), Error> {
        let releases = pods.iter().map(|pod| async {
            let api = Api::<Pod>::namespaced(self.transport.clone(), pod.namespace.clone());
            if !pod.finalizers.iter().any(|finalizer| finalizer == TRACKING) {
                return Ok(());
            }
            let patch = value!({"metadata": {
                "uid": (pod.uid.as_str()),
                "$deleteFromPrimitiveList/finalizers": [TRACKING]
            }});
            match api.patch(&pod.name, Patch::strategic(patch)).await {
                Err(error) if error.is_not_found() => Ok(()),
                Err(error) => Err(error),
                Ok(_) => {
                    if let Some(action) = spec.and_then(|spec| failures::action(spec, pod)) {
                        self.metrics.ruled(action);
                    }
                    Ok(())
                }
            }
        });
        join_all(releases).await.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }
}

fn revision(job: &Job) -> Option<u64> {
    job.metadata.resource_version.as_deref()?.parse().ok()
}

/// Reasons of failed Jobs, as events bear them.
fn failure_reason(reason: &str) -> &'static str {
    const KNOWN: [&str; 5] = [
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "PodFailurePolicy",
        "MaxFailedIndexesExceeded",
        "FailedIndexes",
    ];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("JobFailed")
}
