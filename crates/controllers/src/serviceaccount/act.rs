//! Creates missing default accounts.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};

use super::plan::{Observed, plan};
use crate::everything::Node;

pub(super) struct DefaultAccounts {
    pub transport: Arc<dyn Transport>,
    pub namespaces: Informer<Whole<Namespace>>,
    pub accounts: Informer<Node>,
}

#[async_trait]
impl Reconciler<String> for DefaultAccounts {
    fn name(&self) -> &'static str {
        "serviceaccount"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::cluster(name.clone())) else {
            return Ok(Outcome::Done);
        };
        let has_account = self.accounts.get(&super::account(name)).is_some();
        let Some(account) = plan(&Observed { namespace: &namespace.0, has_account }) else {
            return Ok(Outcome::Done);
        };
        let api = Api::<ServiceAccount>::namespaced(self.transport.clone(), name.clone());
        match api.create(&account).await {
            Err(error) if error.is_already_exists() || crate::namespace_ends(&error) => {}
            other => other.map(drop)?,
        }
        Ok(Outcome::Done)
    }
}
