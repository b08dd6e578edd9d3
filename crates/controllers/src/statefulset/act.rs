//! Carries out the plan of a StatefulSet.

use std::sync::Arc;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Patch, Transport};
use edge::Edge;
use futures::future::join_all;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::history::{self, History};
use super::members::{identity, ordinal, revision_of, set_name, templates, volumes};
use super::metrics::Metrics;
use super::plan::{Observed, Plan, Step, plan};
use crate::claims::{self, Owner};
use crate::context::OWNER;
use crate::expectations::{Expectations, PATIENCE};
use crate::pods::PodView;
use crate::revisions::{self, Written};
use crate::volume_claims::ClaimView;

/// Tasks at a time at most, where their order does not matter.
const BURST: usize = 500;

pub(super) struct StatefulSets {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub sets: Informer<Whole<StatefulSet>>,
    pub revisions: Informer<Whole<ControllerRevision>>,
    pub volumes: Informer<ClaimView>,
    pub pods: Informer<PodView>,
    pub expectations: Arc<Expectations>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            self.metrics.forget(key);
            return Ok(Outcome::Done);
        };
        let expectations_met = self.expectations.are_met(key);
        let owner = Owner::of(&set.0, Some(&set.spec.selector));
        let is_member = |pod: &PodView| ordinal(&set.0, &pod.name).is_some();
        let pods =
            claims::pods::<StatefulSet>(&owner, &self.transport, &key.namespace, &self.pods, is_member)
                .await?;
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let revisions = self.revisions.by_index(OWNER, uid);
        let revisions: Vec<_> = revisions.iter().map(|revision| &revision.0).collect();
        let live = |name: &str| pods.iter().any(|pod| revision_of(pod) == name);
        let history = history::plan(&set.0, &revisions, live);
        if set.metadata.deletion_timestamp.is_none() && !self.write_history(key, &set.0, &history).await? {
            return Ok(Outcome::Done);
        }
        let observed = Observed {
            set: &set.0,
            claims: self.claims(&set.0, key),
            pods,
            current: history.current,
            update: history.update,
            expectations_met,
            now: self.edge.clock.now(),
        };
        let plan = plan(&observed);
        self.metrics.planned(key, &plan);
        let done = self.carry_out(key, &set.0, &plan).await;
        self.write_status(&set.0, plan.status).await?;
        done?;
        // What is waited for may have come and gone unseen, between two lists.
        let again = plan.again.or_else(|| (!expectations_met).then_some(PATIENCE));
        Ok(again.map_or(Outcome::Done, Outcome::Again))
    }
}

impl StatefulSets {
    /// The claims of the namespace, where the set has any.
    fn claims(
        &self,
        set: &StatefulSet,
        key: &ObjectKey,
    ) -> std::collections::BTreeMap<String, Arc<ClaimView>> {
        if templates(set).is_empty() {
            return Default::default();
        }
        let all = self.volumes.namespace(&key.namespace).into_iter();
        all.map(|claim| (claim.name.clone(), claim)).collect()
    }

    /// Writes the revisions. False where a hash collides: the next look has
    /// another.
    async fn write_history(
        &self,
        key: &ObjectKey,
        set: &StatefulSet,
        history: &History,
    ) -> Result<bool, Error> {
        let api = Api::<ControllerRevision>::namespaced(self.transport.clone(), key.namespace.clone());
        if revisions::write(&api, &history.actions).await? == Written::All {
            return Ok(true);
        }
        let mut status = set.status.clone().unwrap_or_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        self.write_status(set, status).await?;
        Ok(false)
    }

    /// Runs the tasks: in order, or in batches that double while all goes
    /// well. The first error ends it.
    async fn carry_out(&self, key: &ObjectKey, set: &StatefulSet, plan: &Plan) -> Result<(), Error> {
        let writer = Writer { controller: self, key, set, about: Reference::to(set) };
        let mut left = plan.tasks.as_slice();
        let mut batch = 1;
        while !left.is_empty() {
            let (now, later) = left.split_at(batch.min(left.len()));
            let results = join_all(now.iter().map(|steps| writer.run(steps))).await;
            results.into_iter().collect::<Result<Vec<()>, Error>>()?;
            left = later;
            batch = if plan.parallel { (batch * 2).min(BURST) } else { 1 };
        }
        Ok(())
    }

    async fn write_status(&self, set: &StatefulSet, status: StatefulSetStatus) -> Result<(), Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        let updated = StatefulSet { status: Some(status), ..set.clone() };
        match Api::<StatefulSet>::namespaced(self.transport.clone(), namespace).update_status(&updated).await
        {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Writes the steps of one set and tells of them.
struct Writer<'a> {
    controller: &'a StatefulSets,
    key: &'a ObjectKey,
    set: &'a StatefulSet,
    about: Reference,
}

impl Writer<'_> {
    async fn run(&self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            match self.step(step).await {
                Err(error) if crate::namespace_ends(&error) => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    async fn step(&self, step: &Step) -> Result<(), Error> {
        let pods = Api::<Pod>::namespaced(self.controller.transport.clone(), self.key.namespace.clone());
        let expectations = &self.controller.expectations;
        match step {
            Step::CreateClaim { claim, pod } => self.create_claim(claim, pod).await,
            Step::OwnClaim { claim, pod, owners } => {
                self.own_claim(claim, owners).await.inspect_err(|error| self.tell("update", pod, Some(error)))
            }
            Step::CreatePod(pod) => {
                expectations.expect_creations(self.key, 1);
                let created = pods.create(pod).await.map(drop);
                if created.is_err() {
                    expectations.creation_seen(self.key);
                }
                if created.as_ref().is_err_and(|error| error.is_already_exists()) {
                    return created;
                }
                self.tell("create", pod.metadata.name.as_deref().unwrap_or_default(), created.as_ref().err());
                created
            }
            Step::DeletePod(pod) => {
                expectations.expect_deletions(self.key, [pod.uid.clone()]);
                let mut deleted = pods.delete(&pod.name, DeleteOptions::uid(pod.uid.clone())).await;
                if let Err(error) = &deleted {
                    expectations.deletion_seen(self.key, &pod.uid);
                    if error.is_not_found() || error.is_conflict() {
                        deleted = Ok(());
                    }
                }
                self.tell("delete", &pod.name, deleted.as_ref().err());
                deleted
            }
            Step::MendPod { pod, ordinal } => {
                let labels = identity(&pod.name, *ordinal);
                let labels = labels.into_iter().map(|(key, value)| (key.into(), Value::from(value)));
                let volumes = Value::from_serialize(&volumes(self.set, *ordinal)).unwrap_or_default();
                let patch = value!({
                    "metadata": {"uid": (pod.uid.as_str()), "labels": (Value::Object(labels.collect()))},
                    "spec": {"volumes": volumes}
                });
                let mended = pods.patch(&pod.name, Patch::strategic(patch)).await.map(drop);
                self.tell("update", &pod.name, mended.as_ref().err());
                mended
            }
            Step::Wait { pod, why } => {
                self.tell_failure("create", pod, why);
                Ok(())
            }
        }
    }

    async fn create_claim(&self, claim: &PersistentVolumeClaim, pod: &str) -> Result<(), Error> {
        let api = Api::<PersistentVolumeClaim>::namespaced(
            self.controller.transport.clone(),
            self.key.namespace.clone(),
        );
        let (name, set) = (claim.metadata.name.as_deref().unwrap_or_default(), set_name(self.set));
        match api.create(claim).await {
            Ok(_) => {
                let message = format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
                self.controller.recorder.event(&self.about, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) => {
                let message =
                    format!("create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {error}");
                self.controller.recorder.event(&self.about, EventType::Warning, "FailedCreate", message);
                let why = format!("failed to create PVC {name}: {error}");
                self.tell_failure("create", pod, &why);
                Err(error)
            }
        }
    }

    async fn own_claim(&self, name: &str, owners: &[OwnerReference]) -> Result<(), Error> {
        let api = Api::<PersistentVolumeClaim>::namespaced(
            self.controller.transport.clone(),
            self.key.namespace.clone(),
        );
        // The role may update claims and not patch them.
        let Some(mut claim) = api.find(name).await? else { return Ok(()) };
        claim.metadata.owner_references = Some(owners.to_vec()).filter(|owners| !owners.is_empty());
        api.update(&claim).await.map(drop)
    }

    fn tell(&self, verb: &str, pod: &str, error: Option<&Error>) {
        if let Some(error) = error {
            return self.tell_failure(verb, pod, &error.to_string());
        }
        let reason = match verb {
            "create" => "SuccessfulCreate",
            "delete" => "SuccessfulDelete",
            _ => "SuccessfulUpdate",
        };
        let message = format!("{verb} Pod {pod} in StatefulSet {} successful", set_name(self.set));
        self.controller.recorder.event(&self.about, EventType::Normal, reason, message);
    }

    fn tell_failure(&self, verb: &str, pod: &str, why: &str) {
        let reason = match verb {
            "create" => "FailedCreate",
            "delete" => "FailedDelete",
            _ => "FailedUpdate",
        };
        let message = format!("{verb} Pod {pod} in StatefulSet {} failed error: {why}", set_name(self.set));
        self.controller.recorder.event(&self.about, EventType::Warning, reason, message);
    }
}
