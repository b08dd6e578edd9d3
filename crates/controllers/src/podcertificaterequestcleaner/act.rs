//! Deletes requests when they are due.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::certificates::v1::PodCertificateRequest;

use super::plan::{Aged, due};

pub(super) struct Cleaner {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub requests: Informer<Aged>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Cleaner {
    fn name(&self) -> &'static str {
        "podcertificaterequestcleaner"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(request) = self.requests.get(key) else { return Ok(Outcome::Done) };
        match Duration::try_from(due(&request).duration_since(self.edge.clock.now())) {
            Ok(left) if !left.is_zero() => return Ok(Outcome::Again(left)),
            _ => {}
        }
        let api = Api::<PodCertificateRequest>::namespaced(self.transport.clone(), key.namespace.clone());
        match api.delete(&key.name, DeleteOptions::uid(request.uid.clone())).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
            other => other.map(|()| Outcome::Done),
        }
    }
}
