//! Creates the claims.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::plan::plan;
use crate::pods::PodView;
use crate::volume_claims::ClaimView;

pub(super) struct Claims {
    pub transport: Arc<dyn Transport>,
    pub pods: Informer<PodView>,
    pub claims: Informer<ClaimView>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Claims {
    fn name(&self) -> &'static str {
        "ephemeralvolume"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        if self.pods.get(key).is_none() {
            return Ok(Outcome::Done);
        }
        let pods = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let Some(pod) = pods.find(&key.name).await? else { return Ok(Outcome::Done) };
        let exists = |name: &str| self.claims.get(&ObjectKey::new(key.namespace.clone(), name)).is_some();
        let api = Api::<PersistentVolumeClaim>::namespaced(self.transport.clone(), key.namespace.clone());
        for claim in plan(&pod, exists) {
            match api.create(&claim).await {
                // Whose it is, the node looks at before it uses it.
                Err(error) if error.is_already_exists() || crate::namespace_ends(&error) => {}
                other => other.map(drop)?,
            }
        }
        Ok(Outcome::Done)
    }
}
