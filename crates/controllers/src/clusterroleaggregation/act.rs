//! Writes the rules of aggregated ClusterRoles.

use std::sync::Arc;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::Resource;
use k8s_openapi::api::rbac::v1::ClusterRole;

use super::IDENTITY;
use super::plan::plan;

pub(super) struct Aggregations {
    pub transport: Arc<dyn Transport>,
    pub roles: Informer<Whole<ClusterRole>>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Aggregations {
    fn name(&self) -> &'static str {
        "clusterroleaggregation"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(role) = self.roles.get(key) else { return Ok(Outcome::Done) };
        let all = self.roles.list();
        let all: Vec<&ClusterRole> = all.iter().map(|role| &role.0).collect();
        let Some(rules) = plan(&role.0, &all) else { return Ok(Outcome::Done) };
        let mut applied = value!({
            "apiVersion": (ClusterRole::API_VERSION), "kind": (ClusterRole::KIND), "metadata": {"name": (key.name.as_str())}
        });
        applied.set("rules", Value::from_serialize(&rules).unwrap_or_default());
        let api = Api::<ClusterRole>::all(self.transport.clone());
        match api.apply(&key.name, applied, IDENTITY).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
