//! Adds and removes the finalizer.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::PersistentVolume;

use super::plan::{FINALIZER, Volume, plan};
use crate::protection::{self, Action};

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
        let Some(fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
        // It may have been bound since.
        let action = plan(&Volume::of(&fresh));
        protection::carry_out(&api, fresh, FINALIZER, action).await
    }
}
