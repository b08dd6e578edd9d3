//! Marks and deletes Secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::value;
use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, ListOptions, Patch, Transport};
use edge::Edge;
use informer::{Outcome, Reconciler};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};

use super::plan::{Action, INVALID_SINCE, account_of, is_stale, is_time, named_by, plan};
use crate::serviceaccounttoken::TYPE;

/// How often it looks.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the API server says since when it tells the use of tokens.
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";

pub(super) struct Cleaner {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    /// The controller's own role has no right to read.
    pub reader: Arc<dyn Transport>,
}

#[async_trait]
impl Reconciler<()> for Cleaner {
    fn name(&self) -> &'static str {
        "legacytokencleaner"
    }

    async fn reconcile(&self, (): &()) -> Result<Outcome, Error> {
        let now = self.edge.clock.now();
        let maps = Api::<ConfigMap>::namespaced(self.transport.clone(), "kube-system");
        let data = maps.find(TRACKING).await?.and_then(|map| map.data).unwrap_or_default();
        if !data.get("since").is_some_and(|since| is_time(since, now)) {
            return Ok(Outcome::Again(DAY));
        }
        let all = Api::<Secret>::all(self.reader.clone());
        let (secrets, _) = all.list(&ListOptions::fields(format!("type={TYPE}"))).await?;
        let mut mounted = BTreeMap::new();
        for secret in secrets.iter().filter(|secret| is_stale(secret, now)) {
            self.judge(secret, &mut mounted, now).await?;
        }
        Ok(Outcome::Again(DAY))
    }
}

impl Cleaner {
    /// `mounted` are the Secrets that pods name, of each namespace that was asked for.
    async fn judge(
        &self,
        secret: &Secret,
        mounted: &mut BTreeMap<String, BTreeSet<String>>,
        now: jiff::Timestamp,
    ) -> Result<(), Error> {
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        let accounts = Api::<ServiceAccount>::namespaced(self.reader.clone(), namespace.clone());
        let account = match account_of(secret) {
            "" => None,
            name => accounts.find(name).await?,
        };
        if !mounted.contains_key(&namespace) {
            let pods = Api::<Pod>::namespaced(self.reader.clone(), namespace.clone());
            let (pods, _) = pods.list(&ListOptions::default()).await?;
            mounted.insert(namespace.clone(), pods.iter().flat_map(named_by).collect());
        }
        let Some(action) = plan(secret, account.as_ref(), &mounted[&namespace], now) else { return Ok(()) };
        let api = Api::<Secret>::namespaced(self.transport.clone(), namespace);
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let result = match action {
            Action::Mark(today) => {
                let mut patch =
                    value!({"metadata": {"uid": (secret.metadata.uid.clone().unwrap_or_default())}});
                patch.set_at(&["metadata", "labels", INVALID_SINCE], today);
                api.patch(name, Patch::merge(patch)).await.map(drop)
            }
            Action::Delete => {
                // Only as it was seen: somebody may have used it since.
                let mut options = DeleteOptions::uid(secret.metadata.uid.clone().unwrap_or_default());
                options.preconditions.resource_version = secret.metadata.resource_version.clone();
                api.delete(name, options).await
            }
        };
        match result {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other,
        }
    }
}
