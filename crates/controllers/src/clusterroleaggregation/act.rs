//! Writes the rules of aggregated ClusterRoles.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::rbac::v1::ClusterRole;

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
        let updated = ClusterRole { rules: Some(rules), ..role.0.clone() };
        match Api::<ClusterRole>::all(self.transport.clone()).update(&updated).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
