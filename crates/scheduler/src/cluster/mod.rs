//! The cluster as the decision sees it: nodes with their pods, assumed pods,
//! nominations, and the indexes that spare a decision most of the nodes.
//!
//! It changes by one object at a time and is never copied for a decision.
//! It runs ahead of the API by the pods that are *assumed*: chosen for a node
//! and not yet seen bound. No I/O, no clock.

mod free_index;
mod node_info;
mod node_set;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::labels::Selector;

use crate::plugins::volume_binding::{Claim, Class, Volume};
use crate::pod_info::{PodInfo, SharedPod};
use free_index::FreeIndex;
pub use node_info::{NodeFacts, NodeInfo};
pub use node_set::{NodeIndex, NodeSet};

/// Everything that a decision may look at.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    slots: Vec<Slot>,
    by_name: BTreeMap<String, NodeIndex>,
    free_slots: Vec<NodeIndex>,
    /// Nodes whose object is known.
    present: NodeSet,
    /// Of these, the ones without NoSchedule and NoExecute taints.
    open: NodeSet,
    /// Of the known, the ones without NoSchedule taints.
    without_no_schedule: NodeSet,
    free_cpu: FreeIndex,
    free_memory: FreeIndex,
    with_room: NodeSet,
    /// Nodes by label: value by key.
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<NodeIndex>>>,
    /// Nodes on which pods with inter-pod (anti-)affinity run.
    with_affinity: NodeSet,
    prefer_no_schedule: usize,
    images: BTreeMap<String, usize>,
    /// Node by uid of each pod that has one, assumed ones included.
    placed: BTreeMap<String, String>,
    assumed: BTreeSet<String>,
    nominated: BTreeMap<String, Vec<SharedPod>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    budgets: BTreeMap<(String, String), Arc<Budget>>,
    /// Selectors of Services by namespace and name.
    services: BTreeMap<(String, String), Selector>,
    /// By namespace and name.
    claims: BTreeMap<(String, String), Arc<Claim>>,
    volumes: BTreeMap<String, Arc<Volume>>,
    classes: BTreeMap<String, Arc<Class>>,
}

/// What preemption must know of a PodDisruptionBudget.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub namespace: String,
    pub name: String,
    pub selector: Selector,
    pub disruptions_allowed: i32,
    /// Names of pods whose eviction is counted already.
    pub disrupted: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Slot {
    info: NodeInfo,
    /// Some while the Node object is known; pods may be seen before it.
    name: String,
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl Cluster {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    pub fn all(&self) -> &NodeSet {
        &self.present
    }

    pub fn node(&self, node: NodeIndex) -> &NodeInfo {
        &self.slots[node.0 as usize].info
    }

    /// The node of this name, if its object is known.
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.by_name.get(name).copied().filter(|node| self.present.contains(*node))
    }

    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &NodeInfo)> {
        self.present.iter().map(|node| (node, self.node(node)))
    }

    /// One more than the highest index.
    pub fn span(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Nodes that repel nobody.
    pub fn open(&self) -> &NodeSet {
        &self.open
    }

    /// Nodes without NoSchedule taints; NoExecute ones they may have.
    pub fn without_no_schedule(&self) -> &NodeSet {
        &self.without_no_schedule
    }

    /// Takes out of `nodes` those that surely cannot hold `pod`.
    pub fn keep_with_room(&self, pod: &PodInfo, nodes: &mut NodeSet) {
        nodes.retain_common(&self.with_room);
        self.free_cpu.keep_with(pod.requests.milli_cpu, nodes);
        self.free_memory.keep_with(pod.requests.memory, nodes);
    }

    /// Nodes with this label.
    pub fn labelled(&self, key: &str, value: &str) -> impl Iterator<Item = NodeIndex> + '_ {
        self.labels.get(key).and_then(|values| values.get(value)).into_iter().flatten().copied()
    }

    /// Every value of a label with its nodes: the domains of a topology.
    pub fn domains(&self, key: &str) -> impl Iterator<Item = (&str, &BTreeSet<NodeIndex>)> {
        self.labels.get(key).into_iter().flatten().map(|(value, nodes)| (value.as_str(), nodes))
    }

    /// Nodes on which pods with inter-pod (anti-)affinity run.
    pub fn with_affinity(&self) -> &NodeSet {
        &self.with_affinity
    }

    /// Whether any node has a PreferNoSchedule taint.
    pub fn has_soft_taints(&self) -> bool {
        self.prefer_no_schedule > 0
    }

    /// How many nodes have an image of this name.
    pub fn nodes_with_image(&self, name: &str) -> usize {
        self.images.get(name).copied().unwrap_or(0)
    }

    pub fn namespace_labels(&self, namespace: &str) -> &BTreeMap<String, String> {
        self.namespaces.get(namespace).unwrap_or(&NO_LABELS)
    }

    pub fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.budgets.values()
    }

    /// Pods that wait for room on the node `name`.
    pub fn nominated(&self, name: &str) -> &[SharedPod] {
        self.nominated.get(name).map_or(&[], Vec::as_slice)
    }

    /// Selectors of the Services that select `pod`.
    pub fn services_of<'c>(&'c self, pod: &'c PodInfo) -> impl Iterator<Item = &'c Selector> {
        let first = (pod.namespace.clone(), String::new());
        self.services
            .range(first..)
            .take_while(|((namespace, _), _)| *namespace == pod.namespace)
            .map(|(_, selector)| selector)
            .filter(|selector| !selector.is_everything() && selector.matches(&pod.labels))
    }

    pub fn put_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        match labels {
            Some(labels) => drop(self.namespaces.insert(name.to_owned(), labels)),
            None => drop(self.namespaces.remove(name)),
        }
    }

    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Arc<Claim>> {
        self.claims.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn volume(&self, name: &str) -> Option<&Arc<Volume>> {
        self.volumes.get(name)
    }

    /// Every volume with its name.
    pub fn volumes(&self) -> impl Iterator<Item = (&str, &Arc<Volume>)> {
        self.volumes.iter().map(|(name, volume)| (name.as_str(), volume))
    }

    /// The storage class of this name.
    pub fn class(&self, name: &str) -> Option<&Arc<Class>> {
        self.classes.get(name)
    }

    pub fn put_claim(&mut self, namespace: &str, name: &str, claim: Option<Arc<Claim>>) {
        let key = (namespace.to_owned(), name.to_owned());
        match claim {
            Some(claim) => drop(self.claims.insert(key, claim)),
            None => drop(self.claims.remove(&key)),
        }
    }

    pub fn put_volume(&mut self, name: &str, volume: Option<Arc<Volume>>) {
        match volume {
            Some(volume) => drop(self.volumes.insert(name.to_owned(), volume)),
            None => drop(self.volumes.remove(name)),
        }
    }

    pub fn put_class(&mut self, name: &str, class: Option<Arc<Class>>) {
        match class {
            Some(class) => drop(self.classes.insert(name.to_owned(), class)),
            None => drop(self.classes.remove(name)),
        }
    }

    pub fn put_budget(&mut self, namespace: &str, name: &str, budget: Option<Arc<Budget>>) {
        let key = (namespace.to_owned(), name.to_owned());
        match budget {
            Some(budget) => drop(self.budgets.insert(key, budget)),
            None => drop(self.budgets.remove(&key)),
        }
    }

    pub fn put_service(&mut self, namespace: &str, name: &str, selector: Option<Selector>) {
        let key = (namespace.to_owned(), name.to_owned());
        match selector {
            Some(selector) => drop(self.services.insert(key, selector)),
            None => drop(self.services.remove(&key)),
        }
    }

    /// Sets what is known of a node.
    pub fn put_node(&mut self, facts: Arc<NodeFacts>) {
        let node = self.slot_of(&facts.name);
        let old = std::mem::replace(&mut self.slots[node.0 as usize].info.facts, facts.clone());
        if self.present.contains(node) {
            self.count(node, &old, false);
        }
        self.present.insert(node);
        self.count(node, &facts, true);
        self.reindex(node);
    }

    /// Forgets a node; its pods, which may be told of later, stay counted.
    pub fn remove_node(&mut self, name: &str) {
        let Some(node) = self.find(name) else { return };
        let slot = &mut self.slots[node.0 as usize];
        let facts = std::mem::take(&mut slot.info.facts);
        self.present.remove(node);
        self.count(node, &facts, false);
        self.reindex(node);
        self.give_back(node);
    }

    /// Puts `pod` on its node, whether it was assumed there or is news.
    pub fn put_pod(&mut self, pod: &SharedPod) {
        self.remove_pod(&pod.uid);
        let node = self.slot_of(&pod.node);
        self.slots[node.0 as usize].info.add(pod.clone());
        self.placed.insert(pod.uid.clone(), pod.node.clone());
        self.reindex(node);
    }

    /// Takes the pod with this uid off its node.
    pub fn remove_pod(&mut self, uid: &str) -> Option<SharedPod> {
        self.assumed.remove(uid);
        let node = self.by_name.get(&self.placed.remove(uid)?).copied()?;
        let pod = self.slots[node.0 as usize].info.remove(uid);
        self.reindex(node);
        self.give_back(node);
        pod
    }

    /// Counts `pod` on `node` before the API tells so.
    pub fn assume(&mut self, pod: &PodInfo, node: &str) {
        self.put_pod(&Arc::new(pod.on_node(node)));
        self.assumed.insert(pod.uid.clone());
        self.nominate(pod, "");
    }

    /// Puts a pod back that a trial took off its node.
    pub(crate) fn restore(&mut self, pod: &SharedPod, assumed: bool) {
        self.put_pod(pod);
        if assumed {
            self.assumed.insert(pod.uid.clone());
        }
    }

    /// Takes an assumed pod back, unless the API has confirmed it meanwhile.
    pub fn forget(&mut self, uid: &str) -> bool {
        self.assumed.contains(uid) && self.remove_pod(uid).is_some()
    }

    pub fn is_assumed(&self, uid: &str) -> bool {
        self.assumed.contains(uid)
    }

    /// Whether the pod is on a node here.
    pub fn is_placed(&self, uid: &str) -> bool {
        self.placed.contains_key(uid)
    }

    /// Notes that `pod` waits for room on `node`; "" takes the note away.
    pub fn nominate(&mut self, pod: &PodInfo, node: &str) {
        self.nominated.retain(|_, pods| {
            pods.retain(|other| other.uid != pod.uid);
            !pods.is_empty()
        });
        if !node.is_empty() {
            self.nominated.entry(node.to_owned()).or_default().push(Arc::new(pod.clone()));
        }
    }

    fn slot_of(&mut self, name: &str) -> NodeIndex {
        if let Some(node) = self.by_name.get(name) {
            return *node;
        }
        let slot = Slot { info: NodeInfo::default(), name: name.to_owned() };
        let node = match self.free_slots.pop() {
            Some(node) => {
                self.slots[node.0 as usize] = slot;
                node
            }
            None => {
                self.slots.push(slot);
                NodeIndex(self.slots.len() as u32 - 1)
            }
        };
        self.by_name.insert(name.to_owned(), node);
        node
    }

    /// Frees the slot of a node that is neither known nor has pods.
    fn give_back(&mut self, node: NodeIndex) {
        let slot = &self.slots[node.0 as usize];
        if slot.info.pods.is_empty() && !self.present.contains(node) {
            self.by_name.remove(&slot.name);
            self.free_slots.push(node);
        }
    }

    /// Counts what `facts` bring into the indexes that do not follow pods.
    fn count(&mut self, node: NodeIndex, facts: &NodeFacts, comes: bool) {
        self.open.set(node, comes && !facts.has_taint(&["NoSchedule", "NoExecute"]));
        self.without_no_schedule.set(node, comes && !facts.has_taint(&["NoSchedule"]));
        let soft = facts.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule").count();
        match comes {
            true => self.prefer_no_schedule += soft,
            false => self.prefer_no_schedule -= soft,
        }
        for (key, value) in &facts.labels {
            if comes {
                self.labels.entry(key.clone()).or_default().entry(value.clone()).or_default().insert(node);
                continue;
            }
            let Some(values) = self.labels.get_mut(key) else { continue };
            let Some(nodes) = values.get_mut(value) else { continue };
            nodes.remove(&node);
            if nodes.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.labels.remove(key);
            }
        }
        for name in facts.images.keys() {
            let nodes = self.images.entry(name.clone()).or_default();
            *nodes = if comes { *nodes + 1 } else { *nodes - 1 };
            if *nodes == 0 {
                self.images.remove(name);
            }
        }
    }

    /// Brings the indexes that follow pods up to date.
    fn reindex(&mut self, node: NodeIndex) {
        let info = &self.slots[node.0 as usize].info;
        let known = self.present.contains(node);
        self.free_cpu.put(node, known.then(|| info.free_milli_cpu()));
        self.free_memory.put(node, known.then(|| info.free_memory()));
        self.with_room.set(node, known && info.has_room());
        self.with_affinity.set(node, known && info.pods_with_affinity > 0);
    }
}

#[cfg(test)]
mod tests;
