//! Writes the ConfigMaps of the authority.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use tokio::time::Instant;

use super::plan::{Action, NAME, Observed, plan};
use crate::publishing::Metrics;

pub(super) struct Publisher {
    pub transport: Arc<dyn Transport>,
    pub namespaces: Informer<Whole<Namespace>>,
    pub maps: Informer<Whole<ConfigMap>>,
    pub authority: Arc<str>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<String> for Publisher {
    fn name(&self) -> &'static str {
        "rootca"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let since = Instant::now();
        let result = self.publish(name).await;
        self.metrics.synced(&result, since);
        result.map(|()| Outcome::Done)
    }
}

impl Publisher {
    async fn publish(&self, name: &str) -> Result<(), Error> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::cluster(name)) else {
            return Ok(());
        };
        let current = self.maps.get(&ObjectKey::new(name, NAME));
        let observed = Observed {
            namespace: &namespace.0,
            current: current.as_ref().map(|map| &map.0),
            authority: &self.authority,
        };
        let api = Api::<ConfigMap>::namespaced(self.transport.clone(), name);
        let result = match plan(&observed) {
            None => return Ok(()),
            Some(Action::Create(map)) => api.create(&map).await,
            Some(Action::Update(map)) => api.update(&map).await,
        };
        match result {
            // The view shows what is there in a moment, and brings the key back.
            Err(error)
                if error.is_already_exists() || error.is_not_found() || crate::namespace_ends(&error) => {}
            other => other.map(drop)?,
        }
        Ok(())
    }
}
