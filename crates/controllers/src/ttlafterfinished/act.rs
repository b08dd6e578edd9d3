//! Deletes what the plan names.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Propagation, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::batch::v1::Job;

use super::metrics::Metrics;
use super::plan::{Action, Finished, due, plan};

pub(super) struct Expiries {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub jobs: Informer<Finished>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for Expiries {
    fn name(&self) -> &'static str {
        "ttlafterfinished"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(job) = self.jobs.get(key) else { return Ok(Outcome::Done) };
        let now = self.edge.clock.now();
        match plan(&job, now) {
            Action::Nothing => Ok(Outcome::Done),
            Action::Again(after) => Ok(Outcome::Again(after)),
            Action::Delete => {
                let api = Api::<Job>::namespaced(self.transport.clone(), key.namespace.clone());
                // Its time may have been lengthened since.
                let Some(fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
                let known = Finished::of(&fresh);
                if plan(&known, now) != Action::Delete {
                    return Ok(Outcome::Done);
                }
                let uid = fresh.metadata.uid.unwrap_or_default();
                let options =
                    DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::uid(uid) };
                match api.delete(&key.name, options).await {
                    Err(error) if error.is_not_found() => Ok(Outcome::Done),
                    Err(error) => Err(error),
                    Ok(()) => {
                        if let Some(due) = due(&known) {
                            self.metrics.deleted(due, self.edge.clock.now());
                        }
                        Ok(Outcome::Done)
                    }
                }
            }
        }
    }
}
