//! Adds and removes the finalizer.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, ListOptions, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::plan::{FINALIZER, plan, uses};
use crate::pods::PodView;
use crate::protection::{self, Action};
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
        let Some(fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
        protection::carry_out(&api, fresh, FINALIZER, action).await
    }
}

impl Protection {
    async fn is_used(&self, key: &ObjectKey) -> Result<bool, Error> {
        let api = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let (pods, _) = api.list(&ListOptions::default()).await?;
        Ok(pods.iter().any(|pod| uses(&PodView::of(pod.clone()), &key.name)))
    }
}
