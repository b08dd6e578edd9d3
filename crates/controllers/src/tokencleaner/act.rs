//! Deletes expired tokens.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::Secret;

use super::plan::{Action, plan};

pub(super) struct Cleaner {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub tokens: Informer<Whole<Secret>>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Cleaner {
    fn name(&self) -> &'static str {
        "tokencleaner"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(token) = self.tokens.get(key) else { return Ok(Outcome::Done) };
        match plan(&token.0, self.edge.clock.now()) {
            Action::Nothing => Ok(Outcome::Done),
            Action::Again(after) => Ok(Outcome::Again(after)),
            Action::Delete => {
                let api = Api::<Secret>::namespaced(self.transport.clone(), key.namespace.clone());
                // Only as it was seen: its time may have been lengthened since.
                let mut options = DeleteOptions::uid(token.metadata.uid.clone().unwrap_or_default());
                options.preconditions.resource_version = token.metadata.resource_version.clone();
                match api.delete(&key.name, options).await {
                    Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
                    other => other.map(|()| Outcome::Done),
                }
            }
        }
    }
}
