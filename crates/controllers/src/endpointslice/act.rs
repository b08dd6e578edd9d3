//! Carries out the plan of a Service's EndpointSlices.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::metrics::Metrics;
use super::plan::{Observed, plan};
use crate::nodes::NodeView;
use crate::pods::PodView;
use crate::services;
use crate::slices::{SERVICE, Tracker, tally};

pub(super) struct EndpointSlices {
    pub transport: Arc<dyn Transport>,
    pub services: Informer<Whole<Service>>,
    pub pods: Informer<PodView>,
    pub nodes: Informer<NodeView>,
    pub slices: Informer<Whole<EndpointSlice>>,
    pub tracker: Arc<Tracker>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        // The garbage collector removes the slices of a Service that is gone.
        let Some(service) = self.services.get(key) else {
            self.tracker.forget(key);
            self.metrics.forget(key);
            return Ok(Outcome::Done);
        };
        if services::selector(&service.0).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let slices = self.slices.by_index(SERVICE, &key.to_string());
        if !self.tracker.is_shown(key, &slices) {
            // The view's next change brings the key back.
            self.metrics.ended("stale");
            return Ok(Outcome::Done);
        }
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| services::selects(&service.0, pod));
        let nodes: Vec<_> =
            pods.iter().filter_map(|pod| self.nodes.get(&ObjectKey::cluster(pod.node.clone()))).collect();
        let observed = Observed {
            service: &service.0,
            pods,
            zones: nodes.iter().map(|node| (node.name.as_str(), node.zone())).collect(),
            slices: slices.iter().map(|slice| &slice.0).collect(),
        };
        let actions = plan(&observed);
        let tally = tally(&observed.slices, &actions);
        self.metrics.planned(key, &service.0, &tally, actions.len());
        for action in actions {
            let done = self.tracker.carry_out(&self.transport, key, action).await;
            done.inspect_err(|_| self.metrics.ended("error"))?;
        }
        self.metrics.ended("success");
        Ok(Outcome::Done)
    }
}
