//! Annotates nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apimachinery::Value;
use async_trait::async_trait;
use client::{Api, Error, Patch, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler};
use k8s_openapi::api::core::v1::Node;

use super::plan::{TTL, seconds, step};
use crate::nodes::NodeView;

pub(super) struct Annotations {
    pub transport: Arc<dyn Transport>,
    pub nodes: Informer<NodeView>,
    /// The step of the last look.
    pub step: AtomicUsize,
}

#[async_trait]
impl Reconciler<ObjectKey> for Annotations {
    fn name(&self) -> &'static str {
        "ttl"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key) else { return Ok(Outcome::Done) };
        let now = step(self.step.load(Ordering::Relaxed), self.nodes.len());
        self.step.store(now, Ordering::Relaxed);
        let wanted = seconds(now).to_string();
        if node.ttl.as_deref() == Some(&wanted) {
            return Ok(Outcome::Done);
        }
        let mut patch = Value::object();
        patch.set_at(&["metadata", "annotations", TTL], wanted);
        match Api::<Node>::all(self.transport.clone()).patch(&key.name, Patch::strategic(patch)).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
