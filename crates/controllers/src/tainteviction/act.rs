//! Evicts the pods that the plan names.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, ListOptions, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Taint};
use parking_lot::Mutex;

use super::plan::{Observed, no_execute, plan};
use crate::deletions::{self, Metrics};
use crate::nodes::NodeView;

/// Key, value and effect of a taint on a node.
type TaintKey = (String, String, Option<String>);

pub(super) struct Evictions {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub nodes: Informer<NodeView>,
    /// When a taint without a time of its own was first seen.
    pub seen: Mutex<BTreeMap<TaintKey, Timestamp>>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<String> for Evictions {
    fn name(&self) -> &'static str {
        "tainteviction"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let node = self.nodes.get(&ObjectKey::cluster(name.clone()));
        let taints = node.map(|node| no_execute(&node.taints)).unwrap_or_default();
        let now = self.edge.clock.now();
        let taints = self.since(name, taints, now);
        if taints.is_empty() {
            return Ok(Outcome::Done);
        }
        // Tolerations are looked at on tainted nodes only, so no view keeps them.
        let selection = ListOptions::fields(format!("spec.nodeName={name}"));
        let (pods, _) = Api::<Pod>::all(self.transport.clone()).list(&selection).await?;
        let plan = plan(&Observed { taints, pods: &pods, now });
        for (pod, due) in plan.evict {
            self.evict(pod, due).await?;
        }
        Ok(plan.again.map_or(Outcome::Done, Outcome::Again))
    }
}

impl Evictions {
    fn since(&self, node: &str, taints: Vec<Taint>, now: Timestamp) -> Vec<(Taint, Timestamp)> {
        let mut seen = self.seen.lock();
        let key = |taint: &Taint| (node.to_owned(), taint.key.clone(), taint.value.clone());
        seen.retain(|known, _| known.0 != node || taints.iter().any(|taint| key(taint) == *known));
        taints
            .into_iter()
            .map(|taint| {
                let since = match &taint.time_added {
                    Some(time) => time.0,
                    None => *seen.entry(key(&taint)).or_insert(now),
                };
                (taint, since)
            })
            .collect()
    }

    async fn evict(&self, pod: &Pod, due: Timestamp) -> Result<(), Error> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let api = Api::<Pod>::namespaced(self.transport.clone(), namespace);
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.recorder.event(&Reference::to(pod), EventType::Normal, "TaintManagerEviction", message);
        let why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
        if deletions::disrupt(&api, &self.edge, (name, uid), why).await? {
            self.metrics.deleted(due, self.edge.clock.now());
        }
        Ok(())
    }
}
