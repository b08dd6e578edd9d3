//! The scheduler without I/O: what it learns goes in, what is to be done
//! comes out. Deterministic for one sequence of inputs, times and random numbers.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apimachinery::labels::Selector;
use edge::Random;
use informer::ObjectKey;
use tokio::time::Instant;

use crate::cluster::{Budget, Cluster, NodeFacts, NodeIndex};
use crate::framework::{Change, Cycle, Framework, Hint, Rejection};
use crate::plugins::volume_binding::{Claim, Class, Volume};
use crate::pod_info::SharedPod;
use crate::queue::Queue;
use crate::{Choice, Decision, FitError, SCHEDULER_NAME, schedule};

/// What the scheduler learns.
pub enum Input {
    /// `new` None: the pod is gone.
    Pod {
        old: Option<SharedPod>,
        new: Option<SharedPod>,
    },
    Node {
        old: Option<Arc<NodeFacts>>,
        new: Option<Arc<NodeFacts>>,
    },
    Namespace {
        name: String,
        labels: Option<BTreeMap<String, String>>,
    },
    Budget {
        key: ObjectKey,
        budget: Option<Arc<Budget>>,
    },
    Service {
        key: ObjectKey,
        selector: Option<Selector>,
    },
    Claim {
        key: ObjectKey,
        claim: Option<Arc<Claim>>,
    },
    Volume {
        name: String,
        volume: Option<Arc<Volume>>,
    },
    Class {
        name: String,
        class: Option<Arc<Class>>,
    },
    /// Binding came to an end without success.
    NotBound {
        pod: SharedPod,
        node: String,
        why: NotBound,
    },
    /// Evicting for this pod failed.
    NotPreempted {
        pod: SharedPod,
    },
}

/// Why a pod was not bound.
#[derive(Clone, Debug)]
pub enum NotBound {
    /// A Permit plugin refused.
    Refused(&'static str, Rejection),
    /// PreBind or Bind failed.
    Failed(String),
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    Bind {
        pod: SharedPod,
        node: String,
    },
    /// Tell that the pod has no node.
    Report(Report),
}

/// Why a pod has no node, and what is done about it.
#[derive(Debug)]
pub struct Report {
    pub pod: SharedPod,
    /// `Unschedulable` or `SchedulerError`.
    pub reason: &'static str,
    pub message: String,
    /// Sets `status.nominatedNodeName`; "" takes it away.
    pub nominate: Option<String>,
    /// Pods to evict from the nominated node.
    pub victims: Vec<SharedPod>,
}

pub struct Core {
    framework: Arc<Framework>,
    cluster: Cluster,
    queue: Queue,
    random: Arc<dyn Random>,
    start: NodeIndex,
}

impl Core {
    pub fn new(framework: Arc<Framework>, random: Arc<dyn Random>) -> Self {
        Self { framework, cluster: Cluster::default(), queue: Queue::default(), random, start: NodeIndex(0) }
    }

    #[cfg(test)]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    #[cfg(test)]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// When time alone gives something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        self.queue.next_wake()
    }

    /// Learns something; what is to be told of it comes back.
    pub fn take(&mut self, input: Input, now: Instant) -> Option<Report> {
        match input {
            Input::Pod { old, new } => self.take_pod(old, new, now),
            Input::Node { old, new } => self.take_node(old, new, now),
            Input::Namespace { name, labels } => {
                self.cluster.put_namespace(&name, labels);
                self.changed(&Change::NamespaceChanged, now);
            }
            Input::Budget { key, budget } => self.cluster.put_budget(&key.namespace, &key.name, budget),
            Input::Service { key, selector } => {
                self.cluster.put_service(&key.namespace, &key.name, selector);
                self.changed(&Change::ServiceChanged, now);
            }
            Input::Claim { key, claim } => {
                self.cluster.put_claim(&key.namespace, &key.name, claim);
                self.changed(&Change::StorageChanged, now);
            }
            Input::Volume { name, volume } => {
                self.cluster.put_volume(&name, volume);
                self.changed(&Change::StorageChanged, now);
            }
            Input::Class { name, class } => {
                self.cluster.put_class(&name, class);
                self.changed(&Change::StorageChanged, now);
            }
            Input::NotBound { pod, node, why } => return self.take_back(&pod, &node, why, now),
            // It may be bound by now.
            Input::NotPreempted { pod } if self.queue.working(&pod.key(), &pod.uid).is_none() => {
                self.queue.set_failed(&pod.key(), now);
            }
            Input::NotPreempted { .. } => {}
        }
        None
    }

    fn take_pod(&mut self, old: Option<SharedPod>, new: Option<SharedPod>, now: Instant) {
        // An ended pod takes nothing of its node: to the scheduler it is gone.
        let new = new.filter(|pod| !pod.ended);
        if let Some(old) = old.as_ref().filter(|old| new.as_ref().is_none_or(|new| new.uid != old.uid)) {
            self.gone(old, now);
        }
        let Some(pod) = new else { return };
        if pod.node.is_empty() {
            if pod.scheduler_name != SCHEDULER_NAME {
                return;
            }
            if pod.terminating {
                return self.queue.remove(&pod.key());
            }
            // What the API does not know yet stays: the patch is on its way.
            let nominated = |pod: &SharedPod| pod.wishes().nominated_node.clone();
            let before = old.as_ref().map(nominated).unwrap_or_default();
            if before != nominated(&pod) && !self.cluster.is_assumed(&pod.uid) {
                self.cluster.nominate(&pod, &pod.wishes().nominated_node);
            }
            let rank = self.framework.queue_sort().map_or(0, |sort| sort.rank(&pod));
            let gated = self.framework.gate(&pod).is_some();
            return self.queue.put(pod, rank, gated, now);
        }
        self.queue.remove(&pod.key());
        self.cluster.nominate(&pod, "");
        let confirms = self.cluster.is_assumed(&pod.uid);
        let before = old.filter(|old| !old.node.is_empty() && old.uid == pod.uid && !confirms);
        self.cluster.put_pod(&pod);
        let change = match before {
            Some(old) => Change::PlacedPodChanged { old, new: pod },
            None => Change::PodPlaced(pod),
        };
        self.changed(&change, now);
    }

    fn gone(&mut self, pod: &SharedPod, now: Instant) {
        self.queue.remove(&pod.key());
        self.cluster.nominate(pod, "");
        if let Some(placed) = self.cluster.remove_pod(&pod.uid) {
            self.changed(&Change::PodLeft(placed), now);
        }
    }

    fn take_node(&mut self, old: Option<Arc<NodeFacts>>, new: Option<Arc<NodeFacts>>, now: Instant) {
        match (old, new) {
            (old, Some(new)) => {
                self.cluster.put_node(new.clone());
                let change = match old {
                    Some(old) => Change::NodeChanged { old, new },
                    None => Change::NodeAdded(new),
                };
                self.changed(&change, now);
            }
            (Some(old), None) => self.cluster.remove_node(&old.name),
            (None, None) => {}
        }
    }

    fn changed(&mut self, change: &Change, now: Instant) {
        if change.is_idle() {
            return;
        }
        let framework = &self.framework;
        self.queue.on_change(now, |name, pod| {
            framework.find(name).map_or(Hint::Queue, |plugin| plugin.hint(pod, change))
        });
    }

    /// Undoes what was assumed of a pod that was not bound.
    fn take_back(&mut self, pod: &SharedPod, node: &str, why: NotBound, now: Instant) -> Option<Report> {
        self.framework.unreserve(pod, node);
        if self.cluster.forget(&pod.uid) {
            self.changed(&Change::PodLeft(pod.clone()), now);
        }
        let key = pod.key();
        // Gone, or bound by someone else: nothing is to be told.
        let pod = self.queue.working(&key, &pod.uid)?.clone();
        match why {
            NotBound::Refused(plugin, rejection) => Some(self.refused(pod, plugin, rejection, now)),
            NotBound::Failed(message) => {
                self.queue.set_failed(&key, now);
                Some(Report { pod, reason: "SchedulerError", message, nominate: None, victims: Vec::new() })
            }
        }
    }

    /// The chosen node was refused after all.
    fn refused(
        &mut self,
        pod: SharedPod,
        plugin: &'static str,
        rejection: Rejection,
        now: Instant,
    ) -> Report {
        let mut error = FitError { nodes: 1, ..FitError::default() };
        error.refuse(NodeIndex(0), plugin, rejection);
        self.queue.set_unschedulable(&pod.key(), error.plugins.clone(), now);
        Report {
            pod,
            reason: "Unschedulable",
            message: error.to_string(),
            nominate: None,
            victims: Vec::new(),
        }
    }

    /// Decides about the next pod.
    pub fn step(&mut self, now: Instant) -> Option<Output> {
        let pod = self.queue.pop(now)?;
        let key = pod.key();
        let choice = Choice { start: self.start, tie: self.random.next_u64() };
        // A panic ends this decision; the pod is tried again as after an error.
        let decide = || schedule(&self.framework, &self.cluster, &pod, choice);
        let Ok(decided) = std::panic::catch_unwind(AssertUnwindSafe(decide)) else {
            tracing::error!(pod = %key, "a decision panicked; it will be tried again");
            self.queue.set_failed(&key, now);
            let message = "the scheduler failed; it will try again".to_owned();
            let report =
                Report { pod, reason: "SchedulerError", message, nominate: None, victims: Vec::new() };
            return Some(Output::Report(report));
        };
        Some(match decided {
            Ok(decision) => self.assume(pod, decision, now),
            Err(error) => Output::Report(self.unschedulable(pod, *error, now)),
        })
    }

    fn assume(&mut self, pod: SharedPod, decision: Decision, now: Instant) -> Output {
        self.start = decision.next;
        self.cluster.assume(&pod, &decision.node);
        let reserved = match self.cluster.find(&decision.node) {
            Some(node) => {
                let cycle = Cycle { pod: &pod, cluster: &self.cluster };
                self.framework.reserve(cycle, self.cluster.node(node))
            }
            None => Ok(()),
        };
        if let Err((plugin, rejection)) = reserved {
            self.cluster.forget(&pod.uid);
            return Output::Report(self.refused(pod, plugin, rejection, now));
        }
        Output::Bind { pod, node: decision.node }
    }

    fn unschedulable(&mut self, pod: SharedPod, mut error: FitError, now: Instant) -> Report {
        let mut nominate = None;
        let mut victims = Vec::new();
        if !error.is_empty_cluster() {
            for plugin in self.framework.plugins() {
                let Some(post_filter) = plugin.as_post_filter() else { continue };
                let offset = self.random.next_u64();
                let outcome =
                    post_filter.post_filter(&self.framework, &mut self.cluster, &pod, &error, offset);
                error.post_filter = outcome.message;
                if let Some(node) = outcome.nominate {
                    self.cluster.nominate(&pod, &node);
                    nominate = Some(node);
                    victims = outcome.victims;
                    break;
                }
            }
        }
        self.queue.set_unschedulable(&pod.key(), error.plugins.clone(), now);
        Report { pod, reason: "Unschedulable", message: error.to_string(), nominate, victims }
    }
}

#[cfg(test)]
mod tests;
