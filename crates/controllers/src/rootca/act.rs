//! Writes the ConfigMaps of the authority.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

use super::plan::{Action, NAME, Observed, plan};

pub(super) struct Publisher {
    pub transport: Arc<dyn Transport>,
    pub namespaces: Informer<Whole<Namespace>>,
    pub maps: Informer<Whole<ConfigMap>>,
    pub authority: Arc<str>,
}

#[async_trait]
impl Reconciler<String> for Publisher {
    fn name(&self) -> &'static str {
        "rootca"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::cluster(name.clone())) else {
            return Ok(Outcome::Done);
        };
        let current = self.maps.get(&ObjectKey::new(name.clone(), NAME));
        let observed = Observed {
            namespace: &namespace.0,
            current: current.as_ref().map(|map| &map.0),
            authority: &self.authority,
        };
        let api = Api::<ConfigMap>::namespaced(self.transport.clone(), name.clone());
        let result = match plan(&observed) {
            None => return Ok(Outcome::Done),
            Some(Action::Create(map)) => api.create(&map).await,
            Some(Action::Update(map)) => api.update(&map).await,
        };
        match result {
            // The view shows what is there in a moment, and brings the key back.
            Err(error)
                if error.is_already_exists() || error.is_not_found() || crate::namespace_ends(&error) => {}
            other => other.map(drop)?,
        }
        Ok(Outcome::Done)
    }
}
