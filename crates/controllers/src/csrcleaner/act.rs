//! Deletes requests when they are due.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::plan::{Aged, due};

pub(super) struct Cleaner {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub requests: Informer<Aged>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Cleaner {
    fn name(&self) -> &'static str {
        "csrcleaner"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(request) = self.requests.get(key) else { return Ok(Outcome::Done) };
        let Some(due) = due(&request) else { return Ok(Outcome::Done) };
        match Duration::try_from(due.duration_since(self.edge.clock.now())) {
            Ok(left) if !left.is_zero() => return Ok(Outcome::Again(left)),
            _ => {}
        }
        let api = Api::<CertificateSigningRequest>::all(self.transport.clone());
        match api.delete(&key.name, DeleteOptions::uid(request.uid.clone())).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
            other => other.map(|()| Outcome::Done),
        }
    }
}
