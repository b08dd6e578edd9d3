//! Adds and removes the finalizer.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, ListOptions, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::plan::{Action, FINALIZER, plan, uses};
use crate::pods::PodView;
use crate::volume_claims::ClaimView;

pub(super) struct Protection {
    pub transport: Arc<dyn Transport>,
    pub claims: Informer<ClaimView>,
    pub pods: Informer<PodView>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Protection {
    fn name(&self) -> &'static str {
        "pvcprotection"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(Outcome::Done) };
        let used = || self.pods.namespace(&key.namespace).iter().any(|pod| uses(pod, &key.name));
        let action = plan(&claim, claim.terminating && used());
        // The view of pods may be behind: whoever frees a claim asks the API.
        if action == Action::Nothing || action == Action::Free && self.is_used(key).await? {
            return Ok(Outcome::Done);
        }
        let api = Api::<PersistentVolumeClaim>::namespaced(self.transport.clone(), key.namespace.clone());
        let Some(mut fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
        let finalizers = fresh.metadata.finalizers.get_or_insert_default();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if action == Action::Protect {
            finalizers.push(FINALIZER.to_owned());
        }
        match api.update(&fresh).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}

impl Protection {
    async fn is_used(&self, key: &ObjectKey) -> Result<bool, Error> {
        let api = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let (pods, _) = api.list(&ListOptions::default()).await?;
        Ok(pods.iter().any(|pod| uses(&PodView::of(pod.clone()), &key.name)))
    }
}
