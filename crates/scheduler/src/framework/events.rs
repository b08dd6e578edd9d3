//! Changes of the cluster that may make a waiting pod fit, and the queueing
//! hints by which plugins say whether one does.

use std::sync::Arc;

use crate::cluster::NodeFacts;
use crate::pod_info::{PodInfo, SharedPod};

/// A change of the cluster.
#[derive(Clone, Debug)]
pub enum Change {
    NodeAdded(Arc<NodeFacts>),
    NodeChanged {
        old: Arc<NodeFacts>,
        new: Arc<NodeFacts>,
    },
    /// A pod has come to a node.
    PodPlaced(SharedPod),
    /// A pod on a node has changed its labels or its size.
    PlacedPodChanged {
        old: SharedPod,
        new: SharedPod,
    },
    /// A pod has left its node.
    PodLeft(SharedPod),
    /// The labels of a namespace have changed.
    NamespaceChanged,
    /// A Service has changed which pods it selects.
    ServiceChanged,
    /// A claim, a volume or a storage class has changed.
    StorageChanged,
}

impl Change {
    /// The node as it is now, where the change is about one.
    pub fn node(&self) -> Option<&NodeFacts> {
        match self {
            Change::NodeAdded(new) | Change::NodeChanged { new, .. } => Some(new),
            _ => None,
        }
    }

    /// Whether something of the node that `part` shows is new.
    pub fn alters_node<T: PartialEq>(&self, part: impl Fn(&NodeFacts) -> &T) -> bool {
        match self {
            Change::NodeAdded(_) => true,
            Change::NodeChanged { old, new } => part(old) != part(new),
            _ => false,
        }
    }

    /// Whether no plugin could care.
    pub fn is_idle(&self) -> bool {
        match self {
            // Images come and go and decide nothing hard.
            Change::NodeChanged { old, new } => {
                old.labels == new.labels
                    && old.taints == new.taints
                    && old.unschedulable == new.unschedulable
                    && old.allocatable == new.allocatable
                    && old.allocatable_pods == new.allocatable_pods
            }
            Change::PlacedPodChanged { old, new } => old.labels == new.labels && old.requests == new.requests,
            _ => false,
        }
    }

    /// The pod that gives room by leaving or shrinking.
    pub fn gives_room(&self) -> Option<&PodInfo> {
        match self {
            Change::PodLeft(pod) => Some(pod),
            Change::PlacedPodChanged { old, new } if new.requests.is_less_anywhere(&old.requests) => {
                Some(old)
            }
            _ => None,
        }
    }
}

/// Whether to try a pod again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    Queue,
    Skip,
}

impl Hint {
    pub fn queue_if(condition: bool) -> Self {
        if condition { Hint::Queue } else { Hint::Skip }
    }
}
