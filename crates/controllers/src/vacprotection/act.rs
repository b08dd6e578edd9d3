//! Adds and removes the finalizer.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, ListOptions, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use super::plan::{Claim, Class, FINALIZER, Volume, plan};
use crate::protection::{self, Action};

pub(super) struct Protection {
    pub transport: Arc<dyn Transport>,
    pub classes: Informer<Class>,
    pub claims: Informer<Claim>,
    pub volumes: Informer<Volume>,
}

impl Protection {
    /// Whether something names the class, as the API itself knows it.
    async fn is_named(&self, class: &str) -> Result<bool, Error> {
        let all = ListOptions::default();
        let (claims, _) = Api::<PersistentVolumeClaim>::all(self.transport.clone()).list(&all).await?;
        let (volumes, _) = Api::<PersistentVolume>::all(self.transport.clone()).list(&all).await?;
        let names = |classes: Vec<String>| classes.iter().any(|name| name == class);
        Ok(claims.into_iter().any(|claim| names(Claim::of(claim).classes))
            || volumes.into_iter().any(|volume| names(Volume::of(volume).classes)))
    }
}

#[async_trait]
impl Reconciler<ObjectKey> for Protection {
    fn name(&self) -> &'static str {
        "vacprotection"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(seen) = self.classes.get(key) else { return Ok(Outcome::Done) };
        let used = self.claims.list().iter().any(|claim| claim.classes.contains(&key.name))
            || self.volumes.list().iter().any(|volume| volume.classes.contains(&key.name));
        // The caches may be behind: whoever frees a class asks the API.
        let used = match plan(&seen, used) {
            Action::Nothing => return Ok(Outcome::Done),
            Action::Protect => used,
            Action::Free => self.is_named(&key.name).await?,
        };
        let api = Api::<VolumeAttributesClass>::all(self.transport.clone());
        let Some(fresh) = api.find(&key.name).await? else { return Ok(Outcome::Done) };
        let action = plan(&Class::of(&fresh), used);
        protection::carry_out(&api, fresh, FINALIZER, action).await
    }
}
