//! Carries out the plan of a ReplicaSet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::plan::{Failure, Observed, plan, status};
use crate::batch::Batch;
use crate::claims::{Claim, Owner};
use crate::context::OWNER;
use crate::expectations::Expectations;
use crate::pods::{PodView, pod_of_template};

pub(super) struct ReplicaSets {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub sets: Informer<Whole<ReplicaSet>>,
    pub pods: Informer<PodView>,
    pub expectations: Arc<Expectations>,
}

#[async_trait]
impl Reconciler<ObjectKey> for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(Outcome::Done);
        };
        let expectations_met = self.expectations.are_met(key);
        let pods = self.claim(key, &set.0).await?;
        let related = self.related(&set.0);
        let mut ranks = BTreeMap::new();
        for pod in related.iter().filter(|pod| pod.is_active()) {
            *ranks.entry(pod.node.as_str()).or_insert(0) += 1;
        }
        let now = self.edge.clock.now();
        let mut observed = Observed { set: &set.0, pods, ranks, expectations_met, failure: None, now };
        let plan = plan(&observed);

        let batch = Batch {
            transport: self.transport.clone(),
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: key,
            about: Reference::to(&set.0),
        };
        let (error, reason) = match (plan.create, plan.delete.as_slice(), &set.spec.template) {
            (0, [], _) | (_, [], None) => (None, ""),
            (0, doomed, _) => (batch.delete(doomed).await, "FailedDelete"),
            (count, _, Some(template)) => {
                let pods = vec![pod_of_template(&set.0, template); count];
                (batch.create(&pods).await, "FailedCreate")
            }
            (_, doomed, None) => (batch.delete(doomed).await, "FailedDelete"),
        };
        let failure = error.as_ref().map(|error| Failure { reason, message: error.to_string() });
        observed.failure = failure.as_ref();
        self.write_status(&set.0, status(&observed)).await?;
        match (error, plan.again) {
            (Some(error), _) => Err(error),
            (None, Some(after)) => Ok(Outcome::Again(after)),
            (None, None) => Ok(Outcome::Done),
        }
    }
}

impl ReplicaSets {
    /// The pods of the set, after adoption and release.
    async fn claim(&self, key: &ObjectKey, set: &ReplicaSet) -> Result<Vec<Arc<PodView>>, Error> {
        let api = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let owner = Owner::of(set, Some(&set.spec.selector));
        let mut owned = Vec::new();
        for pod in self.pods.namespace(&key.namespace) {
            match owner.claim(pod.as_ref()) {
                Claim::Owned => owned.push(pod),
                Claim::Adopt => {
                    owner.adopt(&api, pod.as_ref()).await?;
                    owned.push(pod);
                }
                Claim::Release => owner.release(&api, pod.as_ref()).await?,
                Claim::Ignore => {}
            }
        }
        Ok(owned)
    }

    /// Pods of all sets with the same controller, which share the nodes.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<PodView>> {
        let owners = set.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return self.pods.by_index(OWNER, set.metadata.uid.as_deref().unwrap_or_default());
        };
        let siblings = self.sets.by_index(OWNER, &owner.uid);
        let uids = siblings.iter().filter_map(|sibling| sibling.metadata.uid.clone());
        uids.flat_map(|uid| self.pods.by_index(OWNER, &uid)).collect()
    }

    async fn write_status(
        &self,
        set: &ReplicaSet,
        status: k8s_openapi::api::apps::v1::ReplicaSetStatus,
    ) -> Result<(), Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        let updated = ReplicaSet { status: Some(status), ..set.clone() };
        match Api::<ReplicaSet>::namespaced(self.transport.clone(), namespace).update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
