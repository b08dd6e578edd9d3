//! Listens to nodes and carries out what their silence means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, Document, Error, Patch, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Projection, Queue, Reconciler, Recorder, Reference};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

use super::metrics::Metrics;
use super::plan::{Action, Observed, plan, waits_for_turn};
use super::zones::{paces, zone_of};
use crate::nodes::NodeView;
use crate::pods::PodView;

/// When each node was last heard.
#[derive(Default)]
pub(super) struct Health(Mutex<BTreeMap<String, Heard>>);

struct Heard {
    at: Instant,
    /// It was found silent since: hearing it again is news.
    silent: bool,
}

impl Health {
    /// Notes a heartbeat; gives whether the node had been silent.
    pub fn heard(&self, node: &str) -> bool {
        let heard = Heard { at: Instant::now(), silent: false };
        self.0.lock().insert(node.to_owned(), heard).is_some_and(|before| before.silent)
    }

    pub fn forget(&self, node: &str) {
        self.0.lock().remove(node);
    }

    fn silence(&self, node: &str) -> Duration {
        let mut all = self.0.lock();
        let heard = all.entry(node.to_owned()).or_insert_with(|| Heard { at: Instant::now(), silent: false });
        heard.at.elapsed()
    }

    fn note_silent(&self, node: &str) {
        if let Some(heard) = self.0.lock().get_mut(node) {
            heard.silent = true;
        }
    }
}

/// A Lease: that it changed is all there is to know.
pub(super) struct LeaseView {
    key: ObjectKey,
}

impl Projection for LeaseView {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Name,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Name {
            namespace: String,
            name: String,
        }
        let Part { metadata } = document.decode_part()?;
        Ok(Self { key: ObjectKey::new(metadata.namespace, metadata.name) })
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

/// What is remembered between reconciles about zones and nodes.
#[derive(Default)]
pub(super) struct Disruption {
    /// When the last node of each zone was given up.
    given_up: BTreeMap<String, Instant>,
    /// Nodes that were known to be ready or not, for events.
    known: BTreeMap<String, bool>,
    /// Whether all zones were disrupted at the last look.
    everywhere: bool,
}

pub(super) struct Nodes {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub nodes: Informer<NodeView>,
    pub pods: Informer<PodView>,
    pub health: Arc<Health>,
    pub queue: Queue<String>,
    /// The pods' index by node.
    pub on_node: &'static str,
    pub disruption: Mutex<Disruption>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<String> for Nodes {
    fn name(&self) -> &'static str {
        "nodelifecycle"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let since = Instant::now();
        let Some(node) = self.nodes.get(&ObjectKey::cluster(name.clone())) else {
            if self.disruption.lock().known.remove(name).is_some() {
                self.tell(
                    name,
                    "",
                    "RemovingNode",
                    format!("Node {name} event: Removing Node {name} from Controller"),
                );
            }
            self.metrics.seen(self.nodes.list().iter().map(AsRef::as_ref));
            return Ok(Outcome::Done);
        };
        self.tell_news(&node);
        let (may_give_up, take_back, turn) = self.turn(&node);
        let observed = Observed {
            node: &node,
            silent: self.health.silence(name),
            pods: self.pods.by_index(self.on_node, name),
            may_give_up,
            take_back,
            now: self.edge.clock.now(),
        };
        let plan = plan(&observed);
        for action in &plan.actions {
            self.carry_out(&node, action).await?;
        }
        self.metrics.looked(since);
        match [plan.again, turn].into_iter().flatten().min() {
            Some(after) => Ok(Outcome::Again(after)),
            None => Ok(Outcome::Done),
        }
    }
}

impl Nodes {
    fn tell(&self, name: &str, uid: &str, reason: &'static str, message: String) {
        let about = Reference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            ..Reference::default()
        };
        self.recorder.event(&about, EventType::Normal, reason, message);
    }

    fn tell_news(&self, node: &NodeView) {
        let ready = node.is_ready();
        let before = self.disruption.lock().known.insert(node.name.clone(), ready);
        let name = &node.name;
        match before {
            None => {
                let message = format!("Node {name} event: Registered Node {name} in Controller");
                self.tell(name, &node.uid, "RegisteredNode", message);
            }
            Some(true) if !ready => {
                let message = format!("Node {name} status is now: NodeNotReady");
                self.tell(name, &node.uid, "NodeNotReady", message);
            }
            Some(_) => {}
        }
    }

    /// Whether the node may be given up, whether its taints are to be taken
    /// back, and when its turn may come.
    fn turn(&self, node: &NodeView) -> (bool, bool, Option<Duration>) {
        let nodes = self.nodes.list();
        self.metrics.seen(nodes.iter().map(AsRef::as_ref));
        let paces = paces(nodes.iter().map(AsRef::as_ref));
        let zone = zone_of(node);
        let mut disruption = self.disruption.lock();
        let everywhere = paces.values().all(Option::is_none) && nodes.iter().all(|node| !node.is_ready());
        if std::mem::replace(&mut disruption.everywhere, everywhere) != everywhere {
            // What holds for one holds for all from now on.
            nodes.iter().filter(|other| other.name != node.name).for_each(|other| {
                self.queue.add(other.name.clone());
            });
        }
        let pace = paces.get(&zone).copied().flatten();
        let Some(pace) = pace else { return (false, everywhere, None) };
        if !waits_for_turn(node) {
            return (false, false, None);
        }
        match disruption.given_up.get(&zone).map(Instant::elapsed) {
            Some(passed) if passed < pace => (false, false, Some(pace - passed)),
            _ => (true, false, None),
        }
    }

    async fn carry_out(&self, node: &NodeView, action: &Action) -> Result<(), Error> {
        let nodes = Api::<Node>::all(self.transport.clone());
        let result = match action {
            Action::Conditions(conditions) => {
                self.health.note_silent(&node.name);
                let conditions = Value::from_serialize(conditions).unwrap_or_default();
                let patch = value!({"status": {"conditions": conditions}});
                nodes.patch_status(&node.name, Patch::strategic(patch)).await.map(drop)
            }
            Action::Taints { taints, gives_up } => {
                if *gives_up {
                    self.disruption.lock().given_up.insert(zone_of(node), Instant::now());
                }
                let taints = match taints.as_slice() {
                    [] => Value::Null,
                    taints => Value::from_serialize(taints).unwrap_or_default(),
                };
                // Taints were decided on this revision: another's are not lost.
                let patch = value!({
                    "metadata": {"resourceVersion": (node.revision.to_string())},
                    "spec": {"taints": taints}
                });
                let written = nodes.patch(&node.name, Patch::merge(patch)).await;
                if *gives_up && written.is_ok() {
                    self.metrics.evicted(node);
                }
                written.map(drop)
            }
            Action::PodNotReady(pod) => {
                let now = self.edge.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let patch = value!({
                    "metadata": {"uid": (pod.uid.as_str())},
                    "status": {"conditions": [
                        {"type": "Ready", "status": "False", "reason": "NodeNotReady", "lastTransitionTime": now}
                    ]}
                });
                let pods = Api::<Pod>::namespaced(self.transport.clone(), pod.namespace.clone());
                let result = pods.patch_status(&pod.name, Patch::strategic(patch)).await.map(drop);
                if result.is_ok() {
                    self.recorder.event(
                        &pod.reference(),
                        EventType::Warning,
                        "NodeNotReady",
                        "Node is not ready",
                    );
                }
                result
            }
        };
        match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}
