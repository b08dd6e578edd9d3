//! Makes claims, tells pods of them, and frees what nobody uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Whole};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};
use parking_lot::Mutex;

use super::Key;
use super::metrics::Metrics;
use super::plan::{
    FINALIZER, Wanted, claim_of, consumer, is_for, is_made_for, is_pod, is_served, needs_reservation,
    owning_pod, plan, still_uses, wanted,
};
use crate::pods::{DeviceClaim, PodView};

/// Who writes pods' status, by upstream's name.
const MANAGER: &str = "ResourceClaimController";

/// Claims that were made and that the view does not show yet, so that a second
/// try does not make another: by the pod's uid and the entry of its claims.
#[derive(Default)]
pub(super) struct Made(Mutex<BTreeMap<(String, String), ObjectKey>>);

impl Made {
    fn note(&self, pod: &PodView, entry: &str, name: &str) {
        let key = ObjectKey::new(pod.namespace.clone(), name);
        self.0.lock().insert((pod.uid.clone(), entry.to_owned()), key);
    }

    fn find(&self, pod: &PodView, entry: &str) -> Option<String> {
        self.0.lock().get(&(pod.uid.clone(), entry.to_owned())).map(|key| key.name.clone())
    }

    /// The view tells of the claim.
    pub fn forget(&self, claim: &ObjectKey) {
        self.0.lock().retain(|_, known| known != claim);
    }
}

pub(super) struct Claims {
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub pods: Informer<PodView>,
    pub claims: Informer<Whole<ResourceClaim>>,
    pub templates: Informer<Whole<ResourceClaimTemplate>>,
    pub made: Arc<Made>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<Key> for Claims {
    fn name(&self) -> &'static str {
        "resourceclaim"
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        match key {
            Key::Pod(key) => self.serve(key).await?,
            Key::Claim(key) => self.free(key).await?,
        }
        Ok(Outcome::Done)
    }
}

impl Claims {
    fn api(&self, namespace: &str) -> Api<ResourceClaim> {
        Api::namespaced(self.transport.clone(), namespace)
    }

    /// Makes the claims that a pod lacks, and reserves those of a pod that is bound.
    async fn serve(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| is_served(pod)) else { return Ok(()) };
        let mut made = BTreeMap::new();
        for entry in &pod.device_claims {
            match self.provide(&pod, entry).await {
                Ok(name) => made.extend(name.map(|name| (entry.name.clone(), name))),
                Err(error) if crate::namespace_ends(&error) => return Ok(()),
                Err(error) => {
                    let message = format!("PodResourceClaim {}: {error}", entry.name);
                    let reason = "FailedResourceClaimCreation";
                    self.recorder.event(&pod.reference(), EventType::Warning, reason, message);
                    return Err(error);
                }
            }
        }
        if !made.is_empty() {
            self.tell(&pod, &made).await?;
        }
        if pod.node.is_empty() {
            // Reservations are the scheduler's.
            return Ok(());
        }
        for entry in &pod.device_claims {
            let Some(name) = entry.claim.as_ref().or(entry.made.as_ref().and_then(Option::as_ref)) else {
                continue;
            };
            let claim = self.claims.get(&ObjectKey::new(key.namespace.clone(), name.clone()));
            let Some(claim) = claim else { continue };
            let foreign = entry.claim.is_none() && !is_for(&claim.0, &pod);
            if foreign || !needs_reservation(&claim.0, &pod) {
                continue;
            }
            let mut claim = claim.0.clone();
            let reserved = &mut claim.status.get_or_insert_default().reserved_for;
            reserved.get_or_insert_default().push(consumer(&pod));
            self.api(&key.namespace).update_status(&claim).await?;
        }
        Ok(())
    }

    /// The name of the claim of a template that the pod's status lacks.
    async fn provide(&self, pod: &PodView, entry: &DeviceClaim) -> Result<Option<String>, Error> {
        let (template, gone) = match wanted(entry) {
            Wanted::Nothing => return Ok(None),
            Wanted::Recorded { template, name } => {
                if self.is_there(pod, name).await? {
                    return Ok(None);
                }
                (template, name)
            }
            Wanted::Unrecorded { template } => (template, ""),
        };
        let known = self.claims.namespace(&pod.namespace);
        if let Some(claim) = known.iter().find(|claim| is_made_for(&claim.0, pod, &entry.name)) {
            return Ok(claim.0.metadata.name.clone());
        }
        if let Some(name) = self.made.find(pod, &entry.name).filter(|name| name != gone) {
            return Ok(Some(name));
        }
        let place = ObjectKey::new(pod.namespace.clone(), template);
        let Some(template) = self.templates.get(&place) else { return Err(no_template(template)) };
        let claim = claim_of(pod, &entry.name, &template.0);
        let created = self.api(&pod.namespace).create(&claim).await;
        self.metrics.asked(&claim, created.is_err());
        let claim = created?;
        let name = claim.metadata.name.unwrap_or_default();
        self.made.note(pod, &entry.name, &name);
        // The view may have been quicker.
        let key = ObjectKey::new(pod.namespace.clone(), name.clone());
        if self.claims.get(&key).is_some() {
            self.made.forget(&key);
        }
        Ok(Some(name))
    }

    /// Whether the claim that a pod's status names is there and the pod's.
    async fn is_there(&self, pod: &PodView, name: &str) -> Result<bool, Error> {
        let key = ObjectKey::new(pod.namespace.clone(), name);
        if let Some(claim) = self.claims.get(&key) {
            return Ok(is_for(&claim.0, pod));
        }
        Ok(self.api(&pod.namespace).find(name).await?.is_some_and(|claim| is_for(&claim, pod)))
    }

    /// Writes the names of claims into the pod's status, beside those that are there.
    async fn tell(&self, pod: &PodView, made: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut all: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in &pod.device_claims {
            if let Some(Some(name)) = &entry.made {
                all.insert(&entry.name, name);
            }
        }
        all.extend(made.iter().map(|(entry, name)| (entry.as_str(), name.as_str())));
        let statuses: Vec<Value> =
            all.into_iter().map(|(entry, name)| value!({"name": entry, "resourceClaimName": name})).collect();
        let body = value!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": (pod.name.as_str()), "namespace": (pod.namespace.as_str())},
            "status": {"resourceClaimStatuses": statuses}
        });
        let api = Api::<Pod>::namespaced(self.transport.clone(), pod.namespace.clone());
        match api.apply_status(&pod.name, body, MANAGER).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes consumers that are gone out of a claim, and what nobody uses away.
    async fn free(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let claim = &claim.0;
        let mut remaining = Vec::new();
        let reserved = claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten());
        for consumer in reserved {
            if !is_pod(consumer) || self.uses(&key.namespace, consumer).await? {
                remaining.push(consumer.clone());
            }
        }
        let owner = owning_pod(claim)
            .and_then(|(name, _)| self.pods.get(&ObjectKey::new(key.namespace.clone(), name)));
        let plan = plan(claim, &remaining, owner.as_deref());
        let api = self.api(&key.namespace);
        let result = async {
            let mut current = claim.clone();
            if let Some(status) = &plan.status {
                current = api.update_status(status).await?;
            }
            if plan.release {
                let finalizers = current.metadata.finalizers.get_or_insert_default();
                finalizers.retain(|finalizer| finalizer != FINALIZER);
                api.update(&current).await?;
            }
            if plan.delete {
                let uid = claim.metadata.uid.clone().unwrap_or_default();
                api.delete(&key.name, DeleteOptions::uid(uid)).await?;
            }
            Ok(())
        };
        match result.await {
            Err(Error::Status(status)) if status.reason == "NotFound" => Ok(()),
            other => other,
        }
    }

    /// Whether a pod still uses what is reserved for it. The view may be behind:
    /// one that it does not show is asked for.
    async fn uses(
        &self,
        namespace: &str,
        consumer: &k8s_openapi::api::resource::v1::ResourceClaimConsumerReference,
    ) -> Result<bool, Error> {
        if let Some(pod) = self.pods.get(&ObjectKey::new(namespace, consumer.name.clone())) {
            return Ok(still_uses(consumer, &pod));
        }
        let api = Api::<Pod>::namespaced(self.transport.clone(), namespace);
        let fresh = api.find(&consumer.name).await?;
        Ok(fresh.is_some_and(|pod| pod.metadata.uid.as_deref() == Some(&consumer.uid)))
    }
}

/// Nothing that the API said: the view shows no such template.
fn no_template(name: &str) -> Error {
    let resource =
        apimachinery::status::GroupResource { group: "resource.k8s.io", resource: "resourceclaimtemplate" };
    let mut status = apimachinery::Status::not_found(resource, name);
    status.message = format!("resource claim template {name:?}: {}", status.message);
    status.into()
}
