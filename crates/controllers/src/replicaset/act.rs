//! Carries out the plan of a ReplicaSet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use edge::Edge;
use futures::future::join_all;
use informer::{Change, EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;

use super::plan::{Failure, Observed, plan, status};
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

/// Meets the expectations that a change of a pod shows.
pub(super) fn note_pod_change(expectations: &Expectations, change: &Change<'_, PodView>) {
    let owner = |pod: &PodView| {
        let owner = pod.controller.as_ref().filter(|owner| owner.kind == "ReplicaSet")?;
        Some(ObjectKey::new(pod.namespace.clone(), owner.name.clone()))
    };
    match (change.old, change.new) {
        (None, Some(new)) if !new.terminating => {
            owner(new).iter().for_each(|owner| expectations.creation_seen(owner));
        }
        (_, Some(new)) if new.terminating => {
            owner(new).iter().for_each(|owner| expectations.deletion_seen(owner, &new.uid));
        }
        (Some(old), None) => owner(old).iter().for_each(|owner| expectations.deletion_seen(owner, &old.uid)),
        _ => {}
    }
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

        let failure = Mutex::new(None);
        let error = match (plan.create, plan.delete.as_slice()) {
            (0, []) => None,
            (0, doomed) => self.delete(key, &set.0, doomed, &failure).await,
            (count, _) => self.create(key, &set.0, count, &failure).await,
        };
        let failure = failure.into_inner();
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

    /// Creates in batches that double while all goes well, so that a quota or
    /// a webhook that refuses is asked few times.
    async fn create(
        &self,
        key: &ObjectKey,
        set: &ReplicaSet,
        count: usize,
        failure: &Mutex<Option<Failure>>,
    ) -> Option<Error> {
        let template = set.spec.template.as_ref()?;
        let pods = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let about = Reference::to(set);
        let pod = pod_of_template(set, template);
        self.expectations.expect_creations(key, count);
        let (mut left, mut batch) = (count, super::SLOW_START.min(count));
        while batch > 0 {
            let results = join_all((0..batch).map(|_| pods.create(&pod))).await;
            left -= batch;
            let mut first_error = None;
            for result in results {
                match result {
                    Ok(pod) => {
                        let name = pod.metadata.name.unwrap_or_default();
                        let message = format!("Created pod: {name}");
                        self.recorder.event(&about, EventType::Normal, "SuccessfulCreate", message);
                    }
                    Err(error) => {
                        self.expectations.creation_seen(key);
                        first_error.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = first_error {
                (0..left).for_each(|_| self.expectations.creation_seen(key));
                // The namespace goes: nothing is wrong.
                if crate::namespace_ends(&error) {
                    return None;
                }
                let message = format!("Error creating: {error}");
                self.recorder.event(&about, EventType::Warning, "FailedCreate", message);
                *failure.lock() = Some(Failure { reason: "FailedCreate", message: error.to_string() });
                return Some(error);
            }
            batch = (batch * 2).min(left);
        }
        None
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        set: &ReplicaSet,
        doomed: &[Arc<PodView>],
        failure: &Mutex<Option<Failure>>,
    ) -> Option<Error> {
        let pods = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let about = Reference::to(set);
        self.expectations.expect_deletions(key, doomed.iter().map(|pod| pod.uid.clone()));
        let deletions = doomed.iter().map(|pod| pods.delete(&pod.name, DeleteOptions::uid(pod.uid.clone())));
        let mut first_error = None;
        for (pod, result) in doomed.iter().zip(join_all(deletions).await) {
            match result {
                Ok(()) => {
                    let message = format!("Deleted pod: {}", pod.name);
                    self.recorder.event(&about, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) => {
                    self.expectations.deletion_seen(key, &pod.uid);
                    if !error.is_not_found() {
                        let message = format!("Error deleting: {error}");
                        self.recorder.event(&about, EventType::Warning, "FailedDelete", message);
                        *failure.lock() =
                            Some(Failure { reason: "FailedDelete", message: error.to_string() });
                        first_error.get_or_insert(error);
                    }
                }
            }
        }
        first_error
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
