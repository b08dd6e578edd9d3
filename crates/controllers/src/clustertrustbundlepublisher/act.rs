//! Writes and deletes bundles.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use informer::{Informer, Outcome, Reconciler, Whole};
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use tokio::time::Instant;

use super::plan::{Action, plan};
use crate::publishing::Metrics;

pub(super) struct Publisher {
    pub transport: Arc<dyn Transport>,
    pub bundles: Informer<Whole<ClusterTrustBundle>>,
    pub authority: Arc<str>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<()> for Publisher {
    fn name(&self) -> &'static str {
        "clustertrustbundlepublisher"
    }

    async fn reconcile(&self, (): &()) -> Result<Outcome, Error> {
        let since = Instant::now();
        let result = self.publish().await;
        self.metrics.synced(&result, since);
        result.map(|()| Outcome::Done)
    }
}

impl Publisher {
    async fn publish(&self) -> Result<(), Error> {
        let bundles = self.bundles.list();
        let api = Api::<ClusterTrustBundle>::all(self.transport.clone());
        for action in plan(bundles.iter().map(|bundle| &bundle.0), &self.authority) {
            let result = match action {
                Action::Create(bundle) => api.create(&bundle).await.map(drop),
                Action::Update(bundle) => api.update(&bundle).await.map(drop),
                Action::Delete(name) => api.delete(&name, DeleteOptions::default()).await,
            };
            match result {
                // The view shows what is there in a moment, and brings the key back.
                Err(error) if error.is_already_exists() || error.is_not_found() => {}
                other => other?,
            }
        }
        Ok(())
    }
}
