//! The extension points (kube-scheduler's `framework` interfaces).
//!
//! Everything up to [`Reserve`] runs on the scheduler's thread and must not
//! block; [`Permit`], [`PreBind`] and [`Bind`] run for each pod on their own.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use client::Transport;

use super::events::{Change, Hint};
use crate::cluster::{Cluster, NodeIndex, NodeInfo, NodeSet};
use crate::{FitError, PodInfo};

/// The best score of a node by one plugin; the worst is 0.
pub const MAX_NODE_SCORE: i64 = 100;

/// A plugin: a name, the changes that may help the pods it rejected, and the
/// extension points that it has.
pub trait Plugin: Send + Sync {
    fn name(&self) -> &'static str;

    /// Whether `change` may make `pod`, which this plugin rejected, fit.
    fn hint(&self, _pod: &PodInfo, _change: &Change) -> Hint {
        Hint::Skip
    }

    fn as_pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        None
    }
    fn as_queue_sort(&self) -> Option<&dyn QueueSort> {
        None
    }
    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        None
    }
    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        None
    }
    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        None
    }
    fn as_reserve(&self) -> Option<&dyn Reserve> {
        None
    }
    fn as_permit(&self) -> Option<&dyn Permit> {
        None
    }
    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        None
    }
    fn as_bind(&self) -> Option<&dyn Bind> {
        None
    }
}

/// What a scheduling cycle is about.
#[derive(Clone, Copy)]
pub struct Cycle<'c> {
    pub pod: &'c PodInfo,
    pub cluster: &'c Cluster,
}

/// Before the queue: a pod that is refused waits until it changes.
pub trait PreEnqueue: Send + Sync {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), String>;
}

/// The order of the queue: pods with smaller keys go first.
pub trait QueueSort: Send + Sync {
    /// The first part of the key; time of arrival follows it.
    fn rank(&self, pod: &PodInfo) -> i64;
}

/// A reason as it stands in the pod's condition, such as `Insufficient cpu`.
pub type Reason = Cow<'static, str>;

/// Why a node, or every node, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reasons: Vec<Reason>,
    /// Evicting pods may help (upstream's Unschedulable); else it cannot
    /// (UnschedulableAndUnresolvable).
    pub resolvable: bool,
}

impl Rejection {
    pub fn resolvable(reason: impl Into<Reason>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }

    pub fn unresolvable(reason: impl Into<Reason>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }
}

/// Once a cycle, before any node: what the filter needs to know of the pod.
pub trait PreFilter: Send + Sync {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c>;
}

/// What PreFilter came to.
pub enum Prepared<'c> {
    /// No node would be refused: Filter is not run.
    Skip,
    /// Every node is asked.
    Filter(Box<dyn Filter + 'c>),
    /// Only these nodes are asked; the rest is refused (PreFilterResult).
    Only(Vec<NodeIndex>, Box<dyn Filter + 'c>),
    /// No node can do.
    Reject(Rejection),
}

/// For each node: whether the pod may run there.
pub trait Filter {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection>;

    /// Takes nodes out of `candidates` that [`Filter::filter`] would surely
    /// refuse, by an index. It may leave any in.
    fn narrow(&self, _cluster: &Cluster, _candidates: &mut NodeSet) {}
}

/// When no node fits: what can be done about it.
pub trait PostFilter: Send + Sync {
    /// `error` tells which nodes were refused and why. The cluster is the same
    /// after the call as before it.
    fn post_filter(
        &self,
        framework: &super::Framework,
        cluster: &mut Cluster,
        pod: &PodInfo,
        error: &FitError,
        offset: u64,
    ) -> PostFiltered;
}

/// What PostFilter came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PostFiltered {
    /// Where room is made for the pod; "" takes back an earlier nomination,
    /// None leaves it.
    pub nominate: Option<String>,
    /// Pods of that node to evict.
    pub victims: Vec<Arc<PodInfo>>,
    /// Put behind the message that says why no node fits; "" for none.
    pub message: String,
}

/// Once a cycle, before scoring the nodes that fit.
pub trait PreScore: Send + Sync {
    /// None: all nodes are alike to this plugin.
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, feasible: &[NodeIndex]) -> Option<Box<dyn Score + 'c>>;
}

/// For each node that fits: how good it is.
pub trait Score {
    fn score(&self, node: &NodeInfo) -> i64;

    /// NormalizeScore: brings all scores into `0..=MAX_NODE_SCORE`.
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// When a node is chosen: takes what the pod will use there.
pub trait Reserve: Send + Sync {
    fn reserve(&self, cycle: Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection>;

    /// Gives it back; called also where reserve was not.
    fn unreserve(&self, pod: &PodInfo, node: &str);
}

/// Before binding: may wait for others, and may refuse.
#[async_trait]
pub trait Permit: Send + Sync {
    async fn permit(&self, pod: &PodInfo, node: &str) -> Result<(), Rejection>;
}

/// What binding may use.
#[derive(Clone)]
pub struct BindContext {
    pub transport: Arc<dyn Transport>,
}

/// Before binding: prepares what the pod needs on its node.
#[async_trait]
pub trait PreBind: Send + Sync {
    /// The error says why the pod is to be tried again.
    async fn pre_bind(&self, context: &BindContext, pod: &PodInfo, node: &str) -> Result<(), String>;
}

/// Tells the API where the pod is to run.
#[async_trait]
pub trait Bind: Send + Sync {
    async fn bind(&self, context: &BindContext, pod: &PodInfo, node: &str) -> Result<(), client::Error>;
}

/// Scales scores so that the highest becomes [`MAX_NODE_SCORE`]; `reverse`
/// makes the highest the worst (`DefaultNormalizeScore`).
pub fn normalize_default(scores: &mut [i64], reverse: bool) {
    let most = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = match most {
            0 if reverse => MAX_NODE_SCORE,
            0 => 0,
            _ if reverse => MAX_NODE_SCORE - MAX_NODE_SCORE * *score / most,
            _ => MAX_NODE_SCORE * *score / most,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_scaled_to_the_best() {
        for (reverse, before, after) in [
            (false, vec![1, 2, 4], vec![25, 50, 100]),
            (true, vec![1, 2, 4], vec![75, 50, 0]),
            (false, vec![0, 0], vec![0, 0]),
            (true, vec![0, 0], vec![100, 100]),
        ] {
            let mut scores = before.clone();
            normalize_default(&mut scores, reverse);
            assert_eq!(scores, after, "{before:?} {reverse}");
        }
    }
}
