//! Writes the signatures.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::plan::{CLUSTER_INFO, PUBLIC, plan};

pub(super) struct Signer {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub clusters: Informer<Whole<ConfigMap>>,
    pub tokens: Informer<Whole<Secret>>,
}

#[async_trait]
impl Reconciler<()> for Signer {
    fn name(&self) -> &'static str {
        "bootstrapsigner"
    }

    async fn reconcile(&self, (): &()) -> Result<Outcome, Error> {
        let Some(cluster) = self.clusters.get(&ObjectKey::new(PUBLIC, CLUSTER_INFO)) else {
            return Ok(Outcome::Done);
        };
        let tokens = self.tokens.list();
        let tokens: Vec<&Secret> = tokens.iter().map(|secret| &secret.0).collect();
        let (changed, next) = plan(&cluster.0, &tokens, self.edge.clock.now());
        if let Some(changed) = changed {
            match Api::<ConfigMap>::namespaced(self.transport.clone(), PUBLIC).update(&changed).await {
                Err(error) if error.is_not_found() => {}
                other => other.map(drop)?,
            }
        }
        Ok(next.map_or(Outcome::Done, Outcome::Again))
    }
}
