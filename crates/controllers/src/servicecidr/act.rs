//! Writes finalizers and conditions.

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, Error, Patch, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::networking::v1::ServiceCIDR;

use super::plan::{Action, FINALIZER, plan};
use crate::everything::Node;

pub(super) struct Ranges {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub ranges: Informer<Whole<ServiceCIDR>>,
    pub addresses: Informer<Node>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Ranges {
    fn name(&self) -> &'static str {
        "servicecidr"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(range) = self.ranges.get(key) else { return Ok(Outcome::Done) };
        let all = self.ranges.list();
        let all: Vec<&ServiceCIDR> = all.iter().map(|range| &range.0).collect();
        // Only a range that goes asks for the addresses.
        let addresses: Vec<IpAddr> = match range.metadata.deletion_timestamp {
            Some(_) => self.addresses.list().iter().filter_map(|one| one.name.parse().ok()).collect(),
            None => Vec::new(),
        };
        let api = Api::<ServiceCIDR>::all(self.transport.clone());
        let result = match plan(&range.0, &all, &addresses, self.edge.clock.now()) {
            Action::Nothing => return Ok(Outcome::Done),
            Action::Again(after) => return Ok(Outcome::Again(after)),
            Action::Protect => {
                let patch = value!({"metadata": {"finalizers": [FINALIZER]}});
                api.patch(&key.name, Patch::strategic(patch)).await
            }
            Action::Tell(condition) => {
                let condition = Value::from_serialize(&*condition).unwrap_or_default();
                let patch = value!({"status": {"conditions": [condition]}});
                api.patch_status(&key.name, Patch::strategic(patch)).await
            }
            Action::Free => {
                let mut freed = range.0.clone();
                let finalizers = freed.metadata.finalizers.get_or_insert_default();
                finalizers.retain(|finalizer| finalizer != FINALIZER);
                api.update(&freed).await
            }
        };
        match result {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
