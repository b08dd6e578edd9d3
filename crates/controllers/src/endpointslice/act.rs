//! Carries out the plan of a Service's EndpointSlices.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;

use super::SERVICE;
use super::plan::{Action, Observed, plan};
use crate::nodes::NodeView;
use crate::pods::PodView;
use crate::services;

pub(super) struct EndpointSlices {
    pub transport: Arc<dyn Transport>,
    pub services: Informer<Whole<Service>>,
    pub pods: Informer<PodView>,
    pub nodes: Informer<NodeView>,
    pub slices: Informer<Whole<EndpointSlice>>,
    pub tracker: Arc<Tracker>,
}

/// The revision in which each slice was last written, by Service and uid: a
/// view that shows less is not planned on (`EndpointSliceTracker`).
#[derive(Default)]
pub(super) struct Tracker(Mutex<BTreeMap<ObjectKey, BTreeMap<String, u64>>>);

impl Tracker {
    fn wrote(&self, service: &ObjectKey, slice: &EndpointSlice) {
        let uid = slice.metadata.uid.clone().unwrap_or_default();
        self.0.lock().entry(service.clone()).or_default().insert(uid, revision(slice));
    }

    /// A slice was deleted, by whomever.
    pub fn gone(&self, service: &ObjectKey, uid: &str) {
        let mut all = self.0.lock();
        if let Some(slices) = all.get_mut(service) {
            slices.remove(uid);
            if slices.is_empty() {
                all.remove(service);
            }
        }
    }

    fn forget(&self, service: &ObjectKey) {
        self.0.lock().remove(service);
    }

    /// Whether `slices` shows everything that was written.
    fn is_shown(&self, service: &ObjectKey, slices: &[Arc<Whole<EndpointSlice>>]) -> bool {
        let all = self.0.lock();
        all.get(service).into_iter().flatten().all(|(uid, written)| {
            slices.iter().any(|slice| slice.metadata.uid.as_ref() == Some(uid) && revision(slice) >= *written)
        })
    }
}

fn revision(slice: &EndpointSlice) -> u64 {
    slice.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
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
            return Ok(Outcome::Done);
        };
        if services::selector(&service.0).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let slices = self.slices.by_index(SERVICE, &key.to_string());
        if !self.tracker.is_shown(key, &slices) {
            // The view's next change brings the key back.
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
        for action in plan(&observed) {
            self.carry_out(key, action).await?;
        }
        Ok(Outcome::Done)
    }
}

impl EndpointSlices {
    async fn carry_out(&self, key: &ObjectKey, action: Action) -> Result<(), Error> {
        let api = Api::<EndpointSlice>::namespaced(self.transport.clone(), key.namespace.clone());
        match action {
            Action::Create(slice) => match api.create(&slice).await {
                Ok(slice) => self.tracker.wrote(key, &slice),
                Err(error) if crate::namespace_ends(&error) => {}
                Err(error) => return Err(error),
            },
            Action::Update(slice) => self.tracker.wrote(key, &api.update(&slice).await?),
            Action::Delete { name, uid } => match api.delete(&name, DeleteOptions::uid(uid)).await {
                Err(error) if error.is_not_found() => {}
                other => other?,
            },
        }
        Ok(())
    }
}
