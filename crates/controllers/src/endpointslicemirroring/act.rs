//! Carries out the plan of mirrored slices.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Error, Transport};
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::plan::{Observed, plan};
use crate::slices::{SERVICE, Tracker, tally};

pub(super) struct Mirrors {
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub services: Informer<Whole<Service>>,
    pub endpoints: Informer<Whole<Endpoints>>,
    pub slices: Informer<Whole<EndpointSlice>>,
    pub tracker: Arc<Tracker>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for Mirrors {
    fn name(&self) -> &'static str {
        "endpointslicemirroring"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let since = Instant::now();
        let (service, endpoints) = (self.services.get(key), self.endpoints.get(key));
        if endpoints.is_none() {
            self.tracker.forget(key);
            self.metrics.forget(key);
        }
        let slices = self.slices.by_index(SERVICE, &key.to_string());
        if !self.tracker.is_shown(key, &slices) {
            // The view's next change brings the key back.
            return Ok(Outcome::Done);
        }
        let slices: Vec<_> = slices.iter().map(|slice| &slice.0).collect();
        let plan = plan(&Observed {
            service: service.as_deref().map(|service| &service.0),
            endpoints: endpoints.as_deref().map(|endpoints| &endpoints.0),
            slices: slices.clone(),
        });
        if endpoints.is_some() {
            self.metrics.planned(key, &tally(&slices, &plan.actions), plan.skipped);
        }
        for action in plan.actions {
            self.tracker.carry_out(&self.transport, key, action).await?;
        }
        if let Some(endpoints) = endpoints {
            for (reason, message) in plan.warnings {
                self.recorder.event(&Reference::to(&endpoints.0), EventType::Warning, reason, message);
            }
        }
        self.metrics.ended(since);
        Ok(Outcome::Done)
    }
}
