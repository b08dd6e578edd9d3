//! Carries out the plan of a CronJob.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Propagation, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};

use super::metrics::Metrics;
use super::plan::{Observed, Plan, Scheduled, Zones, finished, forget, is_active, note_created, plan};
use crate::context::OWNER;

pub(super) struct CronJobs {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub crons: Informer<Whole<CronJob>>,
    pub jobs: Informer<Whole<Job>>,
    pub zones: Zones,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(cached) = self.crons.get(key) else { return Ok(Outcome::Done) };
        let jobs = self.jobs.by_index(OWNER, cached.metadata.uid.as_deref().unwrap_or_default());
        let jobs: Vec<&Job> = jobs.iter().map(|job| &job.0).collect();
        let Some(cron) = self.with_known_jobs(key, &cached.0, &jobs).await? else {
            return Ok(Outcome::Done);
        };
        let observed = Observed {
            missing: self.missing(key, &cron, &jobs).await?,
            zones: &self.zones,
            cron: &cron,
            jobs,
            now: self.edge.clock.now(),
        };
        let Plan { mut status, events, replace, create, expired, again } = plan(&observed);
        let about = Reference::to(&cron);
        for (kind, reason, message) in events {
            self.recorder.event(&about, kind, reason, message);
        }
        let mut done = Ok(());
        for reference in replace {
            let (name, uid) = (reference.name.unwrap_or_default(), reference.uid.unwrap_or_default());
            done = self.delete(key, &about, &mut status, &name, &uid).await;
            if done.is_err() {
                break;
            }
        }
        if let (Some(scheduled), Ok(())) = (create, &done) {
            done = self.create(key, &cron, &about, &mut status, *scheduled).await;
        }
        for (name, uid) in expired {
            let deleted = self.delete(key, &about, &mut status, &name, &uid).await;
            done = done.and(deleted);
        }
        self.write_status(&cron, status).await?;
        done?;
        Ok(again.map_or(Outcome::Done, Outcome::Again))
    }
}

impl CronJobs {
    fn jobs_api(&self, key: &ObjectKey) -> Api<Job> {
        Api::namespaced(self.transport.clone(), key.namespace.clone())
    }

    /// The CronJob; as the API has it where the view shows a running Job that
    /// it does not list, since the view of it may be behind that of Jobs.
    async fn with_known_jobs(
        &self,
        key: &ObjectKey,
        cached: &CronJob,
        jobs: &[&Job],
    ) -> Result<Option<CronJob>, Error> {
        if jobs.iter().all(|job| finished(job).is_some() || is_active(cached, job)) {
            return Ok(Some(cached.clone()));
        }
        let api = Api::<CronJob>::namespaced(self.transport.clone(), key.namespace.clone());
        let mut fresh = api.find(&key.name).await?;
        if let Some(fresh) = &mut fresh {
            fresh.metadata.managed_fields = None;
        }
        Ok(fresh.filter(|fresh| fresh.metadata.uid == cached.metadata.uid))
    }

    /// Of the listed Jobs, those that the view does not show and the API neither.
    async fn missing(
        &self,
        key: &ObjectKey,
        cron: &CronJob,
        jobs: &[&Job],
    ) -> Result<BTreeSet<String>, Error> {
        let mut missing = BTreeSet::new();
        for reference in cron.status.iter().flat_map(|status| status.active.iter().flatten()) {
            let uid = reference.uid.clone().unwrap_or_default();
            if jobs.iter().any(|job| job.metadata.uid.as_ref() == Some(&uid)) {
                continue;
            }
            let found = self.jobs_api(key).find(reference.name.as_deref().unwrap_or_default()).await?;
            if found.is_none_or(|found| found.metadata.uid.as_ref() != Some(&uid)) {
                missing.insert(uid);
            }
        }
        Ok(missing)
    }

    async fn create(
        &self,
        key: &ObjectKey,
        cron: &CronJob,
        about: &Reference,
        status: &mut CronJobStatus,
        Scheduled { job, time }: Scheduled,
    ) -> Result<(), Error> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let job = match self.jobs_api(key).create(&job).await {
            Ok(created) => {
                if let Some(at) = &created.metadata.creation_timestamp {
                    self.metrics.created(time, at.0);
                }
                let message = format!("Created job {name}");
                self.recorder.event(about, EventType::Normal, "SuccessfulCreate", message);
                created
            }
            // Created before, and the status not written; or somebody else's.
            Err(error) if error.is_already_exists() => {
                let Some(existing) = self.jobs_api(key).find(name).await? else { return Err(error) };
                let owners = existing.metadata.owner_references.iter().flatten();
                let ours = owners.into_iter().any(|owner| {
                    owner.controller == Some(true) && Some(&owner.uid) == cron.metadata.uid.as_ref()
                });
                if !ours || is_active(cron, &existing) {
                    return Ok(());
                }
                existing
            }
            Err(error) if crate::namespace_ends(&error) => return Ok(()),
            Err(error) => {
                let message = format!("Error creating job: {error}");
                self.recorder.event(about, EventType::Warning, "FailedCreate", message);
                return Err(error);
            }
        };
        note_created(status, &job, time);
        Ok(())
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        about: &Reference,
        status: &mut CronJobStatus,
        name: &str,
        uid: &str,
    ) -> Result<(), Error> {
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::uid(uid) };
        match self.jobs_api(key).delete(name, options).await {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {error}");
                self.recorder.event(about, EventType::Warning, "FailedDelete", message);
                Err(error)
            }
            _ => {
                forget(status, uid);
                let message = format!("Deleted job {name}");
                self.recorder.event(about, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
        }
    }

    async fn write_status(&self, cron: &CronJob, mut status: CronJobStatus) -> Result<(), Error> {
        status.active.take_if(|active| active.is_empty());
        if cron.status.clone().unwrap_or_default() == status {
            return Ok(());
        }
        let namespace = cron.metadata.namespace.clone().unwrap_or_default();
        let updated = CronJob { status: Some(status), ..cron.clone() };
        match Api::<CronJob>::namespaced(self.transport.clone(), namespace).update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
