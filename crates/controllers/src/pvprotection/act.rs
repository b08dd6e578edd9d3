//! Adds and removes the finalizer.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::PersistentVolume;

use super::plan::{Action, FINALIZER, Volume, plan};

pub(super) struct Protection {
    pub transport: Arc<dyn Transport>,
    pub volumes: Informer<Volume>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Protection {
    fn name(&self) -> &'static str {
        "pvprotection"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(seen) = self.volumes.get(key) else { return Ok(Outcome::Done) };
        if plan(&seen) == Action::Nothing {
            return Ok(Outcome::Done);
        }
        let api = Api::<PersistentVolume>::all(self.transport.clone());
        let Some(mut fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
        // It may have been bound since.
        let action = plan(&Volume::of(&fresh));
        let finalizers = fresh.metadata.finalizers.get_or_insert_default();
        match action {
            Action::Nothing => return Ok(Outcome::Done),
            Action::Protect => finalizers.push(FINALIZER.to_owned()),
            Action::Free => finalizers.retain(|finalizer| finalizer != FINALIZER),
        }
        match api.update(&fresh).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
