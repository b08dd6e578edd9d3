//! Carries out the plan of a ReplicaSet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};

use super::kind::Replicated;
use super::metrics::Metrics;
use super::plan::{Failure, Observed, plan, status};
use crate::batch::Batch;
use crate::claims::{self, Owner};
use crate::context::OWNER;
use crate::expectations::{Expectations, PATIENCE};
use crate::pods::{PodView, pod_of_template};

pub(super) struct Sets<K> {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub sets: Informer<Whole<K>>,
    pub pods: Informer<PodView>,
    pub expectations: Arc<Expectations>,
    pub metrics: Metrics,
}

#[async_trait]
impl<K: Replicated> Reconciler<ObjectKey> for Sets<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(object) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(Outcome::Done);
        };
        let set = object.0.as_set();
        let expectations_met = self.expectations.are_met(key);
        let owner = Owner::of(&object.0, Some(&set.spec.selector));
        let pods = claims::pods::<K>(&owner, &self.transport, &key.namespace, &self.pods, |_| true).await?;
        let related = self.related(&set);
        let mut ranks = BTreeMap::new();
        for pod in related.iter().filter(|pod| pod.is_active()) {
            *ranks.entry(pod.node.as_str()).or_insert(0) += 1;
        }
        let now = self.edge.clock.now();
        let mut observed = Observed { set: &set, pods, ranks, expectations_met, failure: None, now };
        let plan = plan(&observed);
        self.metrics.chosen(&plan.age_ratios);

        let batch = Batch {
            transport: self.transport.clone(),
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: key,
            about: Reference::to(&object.0),
        };
        let (error, reason) = match (plan.create, plan.delete.as_slice(), &set.spec.template) {
            (0, [], _) | (_, [], None) => (None, ""),
            (0, doomed, _) => (batch.delete(doomed).await, "FailedDelete"),
            (count, _, Some(template)) => {
                let pods = vec![pod_of_template(&object.0, template); count];
                (batch.create(&pods).await.error, "FailedCreate")
            }
            (_, doomed, None) => (batch.delete(doomed).await, "FailedDelete"),
        };
        let failure = error.as_ref().map(|error| Failure { reason, message: error.to_string() });
        observed.failure = failure.as_ref();
        self.write_status(key, &object.0, status(&observed)).await?;
        match (error, plan.again) {
            (Some(error), _) => Err(error),
            (None, Some(after)) => Ok(Outcome::Again(after)),
            // What is waited for may have come and gone unseen, between two lists.
            (None, None) if !expectations_met => Ok(Outcome::Again(PATIENCE)),
            (None, None) => Ok(Outcome::Done),
        }
    }
}

impl<K: Replicated> Sets<K> {
    /// Pods of all sets with the same controller, which share the nodes.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<PodView>> {
        let owners = set.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return self.pods.by_index(OWNER, set.metadata.uid.as_deref().unwrap_or_default());
        };
        let siblings = self.sets.by_index(OWNER, &owner.uid);
        let uids = siblings.iter().filter_map(|sibling| sibling.metadata().uid.clone());
        uids.flat_map(|uid| self.pods.by_index(OWNER, &uid)).collect()
    }

    async fn write_status(&self, key: &ObjectKey, set: &K, status: ReplicaSetStatus) -> Result<(), Error> {
        if set.has_status(&status) {
            return Ok(());
        }
        let api = Api::<K>::namespaced(self.transport.clone(), key.namespace.clone());
        match api.update_status(&set.with_status(status)).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
