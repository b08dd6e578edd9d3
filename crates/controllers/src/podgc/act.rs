//! Deletes the pods that the plan names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apimachinery::value;
use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Patch, Transport};
use edge::Edge;
use informer::{Change, Informer, Outcome, Reconciler};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::plan::{MOST_ENDED, Observed, QUARANTINE, Why, plan};
use crate::nodes::NodeView;
use crate::pods::PodView;

/// Counts ended pods, so that nobody has to look until there are too many.
#[derive(Default)]
pub(super) struct Ended(AtomicUsize);

impl Ended {
    /// Whether there are too many after this change.
    pub fn note(&self, change: &Change<'_, PodView>) -> bool {
        let ended = |pod: Option<&Arc<PodView>>| pod.is_some_and(|pod| pod.has_ended());
        match (ended(change.old), ended(change.new)) {
            (false, true) => self.0.fetch_add(1, Ordering::Relaxed) + 1 > MOST_ENDED,
            (true, false) => {
                self.0.fetch_sub(1, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }
}

pub(super) struct Collector {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub pods: Informer<PodView>,
    pub nodes: Informer<NodeView>,
    /// Since when each node that pods name is missing.
    pub missing: Mutex<BTreeMap<String, Instant>>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<()> for Collector {
    fn name(&self) -> &'static str {
        "podgc"
    }

    async fn reconcile(&self, _: &()) -> Result<Outcome, Error> {
        let observed = self.observe().await?;
        let plan = plan(&observed);
        let mut first_error = None;
        for (pod, why) in &plan.delete {
            let deleted = self.delete(pod, *why).await;
            self.metrics.deletes(&pod.namespace, *why, deleted.is_err());
            if let Err(error) = deleted {
                first_error.get_or_insert(error);
            }
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok(plan.again.map_or(Outcome::Done, Outcome::Again)),
        }
    }
}

impl Collector {
    async fn observe(&self) -> Result<Observed, Error> {
        let mut nodes: BTreeMap<_, _> =
            self.nodes.list().into_iter().map(|node| (node.name.clone(), node)).collect();
        let pods = self.pods.list();
        let named = |pod: &Arc<PodView>| !pod.node.is_empty() && !nodes.contains_key(&pod.node);
        let absent: Vec<String> = pods.iter().filter(|pod| named(pod)).map(|pod| pod.node.clone()).collect();
        let mut since: BTreeMap<_, _> = {
            let mut missing = self.missing.lock();
            missing.retain(|node, _| absent.contains(node));
            for node in &absent {
                missing.entry(node.clone()).or_insert_with(Instant::now);
            }
            missing.iter().map(|(node, since)| (node.clone(), since.elapsed())).collect()
        };
        // The view may be behind: ask before pods are deleted for it.
        let api = Api::<Node>::all(self.transport.clone());
        for (node, gone) in since.clone() {
            if gone >= QUARANTINE && api.find(&node).await?.is_some() {
                since.remove(&node);
                nodes.insert(node.clone(), Arc::new(NodeView { name: node, ..NodeView::default() }));
            }
        }
        Ok(Observed { pods, nodes, missing: since })
    }

    async fn delete(&self, pod: &PodView, why: Why) -> Result<(), Error> {
        let api = Api::<Pod>::namespaced(self.transport.clone(), pod.namespace.clone());
        if !pod.has_ended() {
            let now = self.edge.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let mut status = value!({"phase": "Failed"});
            if why == Why::Orphaned {
                status.set(
                    "conditions",
                    value!([{
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByPodGC",
                        "message": "PodGC: node no longer exists",
                        "lastTransitionTime": now
                    }]),
                );
            }
            let patch = value!({"metadata": {"uid": (pod.uid.as_str())}, "status": status});
            match api.patch_status(&pod.name, Patch::strategic(patch)).await {
                Err(error) if error.is_not_found() => return Ok(()),
                other => other.map(drop)?,
            }
        }
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(pod.uid.clone()) };
        match api.delete(&pod.name, options).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other,
        }
    }
}
