//! Counts the objects of a namespace and writes the sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use async_trait::async_trait;
use client::{Api, Error, ListOptions, Resource, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::ResourceQuota;

use super::plan::{plan, resources};
use crate::everything::Everything;

/// Objects of one page.
const PAGE: u64 = 500;

pub(super) struct Counts {
    pub transport: Arc<dyn Transport>,
    pub quotas: Informer<Whole<ResourceQuota>>,
    pub everything: Arc<Everything>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Counts {
    fn name(&self) -> &'static str {
        "resourcequota"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(quota) = self.quotas.get(key) else { return Ok(Outcome::Done) };
        let mut objects = BTreeMap::new();
        for (group, plural) in resources(&quota.0) {
            if let Some(resource) = self.everything.resource(group, plural) {
                objects.insert((group, plural), self.list(&resource, &key.namespace).await?);
            }
        }
        let Some(status) = plan(&quota.0, &objects) else { return Ok(Outcome::Done) };
        let updated = ResourceQuota { status: Some(status), ..quota.0.clone() };
        let api = Api::<ResourceQuota>::namespaced(self.transport.clone(), key.namespace.clone());
        // Admission charges the same status: whoever wrote meanwhile counts,
        // and a conflict begins anew.
        match api.update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}

impl Counts {
    async fn list(&self, resource: &Resource, namespace: &str) -> Result<Vec<Value>, Error> {
        let mut objects = Vec::new();
        let mut page = ListOptions { limit: PAGE, ..ListOptions::default() };
        loop {
            let list = self.transport.list(resource, Some(namespace), &page).await?;
            for document in &list.items {
                objects.push(document.tree()?);
            }
            match list.continue_token {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(objects),
            }
        }
    }
}
