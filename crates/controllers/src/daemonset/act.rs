//! Carries out the plan of a DaemonSet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::history::{self, HASH, History};
use super::placement::pod_for;
use super::plan::{Observed, Plan, plan};
use super::status::status;
use crate::batch::Batch;
use crate::claims::{self, Owner};
use crate::context::OWNER;
use crate::expectations::{Expectations, PATIENCE};
use crate::nodes::NodeView;
use crate::pods::{Phase, PodView};
use crate::revisions::{self, Written};

/// Pauses before a failed pod of a node is replaced: doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: Duration = Duration::from_secs(15 * 60);

pub(super) struct DaemonSets {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub sets: Informer<Whole<DaemonSet>>,
    pub revisions: Informer<Whole<ControllerRevision>>,
    pub pods: Informer<PodView>,
    pub nodes: Informer<NodeView>,
    pub expectations: Arc<Expectations>,
    pub failed: Mutex<BTreeMap<ObjectKey, BTreeMap<String, Failed>>>,
}

/// The last failed pod of a node, and the pause that follows.
#[derive(Clone, Copy)]
pub(super) struct Failed {
    at: Instant,
    pause: Duration,
}

#[async_trait]
impl Reconciler<ObjectKey> for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            self.failed.lock().remove(key);
            return Ok(Outcome::Done);
        };
        let expectations_met = self.expectations.are_met(key);
        let owner = Owner::of(&set.0, Some(&set.spec.selector));
        let pods =
            claims::pods::<DaemonSet>(&owner, &self.transport, &key.namespace, &self.pods, |_| true).await?;
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let revisions = self.revisions.by_index(OWNER, uid);
        let revisions: Vec<_> = revisions.iter().map(|revision| &revision.0).collect();
        let live = |hash: &str| pods.iter().any(|pod| pod.labels.get(HASH).is_some_and(|h| h == hash));
        let history = history::plan(&set.0, &revisions, live);
        let backoff = self.backoff(key);
        let observed = Observed {
            set: &set.0,
            nodes: self.nodes.list(),
            pods: pods.clone(),
            hash: &history.hash,
            backoff: &backoff,
            expectations_met,
            now: self.edge.clock.now(),
        };
        if set.metadata.deletion_timestamp.is_none() && !self.write_history(key, &set.0, &history).await? {
            return Ok(Outcome::Done);
        }
        let plan = plan(&observed);
        let error = self.carry_out(key, &set.0, &plan, &history.hash).await;
        self.write_status(&set.0, status(&observed)).await?;
        match (error, plan.again) {
            (Some(error), _) => Err(error),
            (None, Some(after)) => Ok(Outcome::Again(after)),
            // What is waited for may have come and gone unseen, between two lists.
            (None, None) if !expectations_met => Ok(Outcome::Again(PATIENCE)),
            (None, None) => Ok(Outcome::Done),
        }
    }
}

impl DaemonSets {
    fn backoff(&self, key: &ObjectKey) -> BTreeMap<String, Duration> {
        let failed = self.failed.lock();
        let nodes = failed.get(key).into_iter().flatten();
        nodes.map(|(node, last)| (node.clone(), last.pause.saturating_sub(last.at.elapsed()))).collect()
    }

    fn note_failed(&self, key: &ObjectKey, node: &str) {
        let mut failed = self.failed.lock();
        let nodes = failed.entry(key.clone()).or_default();
        // Long after a failure the count begins anew.
        nodes.retain(|_, last| last.at.elapsed() < MOST_PAUSE * 2);
        let pause = nodes.get(node).map_or(FIRST_PAUSE, |last| (last.pause * 2).min(MOST_PAUSE));
        nodes.insert(node.to_owned(), Failed { at: Instant::now(), pause });
    }

    /// Writes the revisions. False where a hash collides: the next look has
    /// another.
    async fn write_history(
        &self,
        key: &ObjectKey,
        set: &DaemonSet,
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

    async fn carry_out(&self, key: &ObjectKey, set: &DaemonSet, plan: &Plan, hash: &str) -> Option<Error> {
        let about = Reference::to(set);
        for pod in &plan.ended {
            let of = format!("{}/{} on node {}", pod.namespace, pod.name, pod.node);
            if pod.phase == Phase::Failed {
                self.note_failed(key, &pod.node);
                let message = format!("Found failed daemon pod {of}, will try to kill it");
                self.recorder.event(&about, EventType::Warning, "FailedDaemonPod", message);
            } else {
                let message = format!("Found succeeded daemon pod {of}, will try to delete it");
                self.recorder.event(&about, EventType::Normal, "SucceededDaemonPod", message);
            }
        }
        let batch = Batch {
            transport: self.transport.clone(),
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: key,
            about,
        };
        let mut error = None;
        if !plan.create.is_empty() {
            let pods: Vec<_> = plan.create.iter().map(|node| pod_for(set, node, hash)).collect();
            error = batch.create(&pods).await.error;
        }
        if !plan.delete.is_empty() {
            error = error.or(batch.delete(&plan.delete).await);
        }
        error
    }

    async fn write_status(&self, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), Error> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        let updated = DaemonSet { status: Some(status), ..set.clone() };
        match Api::<DaemonSet>::namespaced(self.transport.clone(), namespace).update_status(&updated).await {
            // The informer is about to show what came between.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}
