//! Why no node fits a pod, in kube-scheduler's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::NodeIndex;
use crate::framework::{Reason, Rejection};

/// No node fits (`framework.FitError`).
#[derive(Clone, Debug, Default, PartialEq, thiserror::Error)]
pub struct FitError {
    /// All nodes of the cluster.
    pub nodes: usize,
    /// How many nodes each reason speaks against.
    pub reasons: BTreeMap<Reason, usize>,
    /// Nodes on which evicting pods may help.
    pub resolvable: Vec<NodeIndex>,
    /// The plugins that refused.
    pub plugins: BTreeSet<&'static str>,
    /// What PreFilter refused all nodes for.
    pub pre_filter: Option<String>,
    /// What PostFilter said.
    pub post_filter: String,
}

impl FitError {
    /// Counts a refused node.
    pub fn refuse(&mut self, node: NodeIndex, plugin: &'static str, rejection: Rejection) {
        self.plugins.insert(plugin);
        if rejection.resolvable {
            self.resolvable.push(node);
        }
        for reason in rejection.reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Whether there is no node at all.
    pub fn is_empty_cluster(&self) -> bool {
        self.nodes == 0
    }
}

/// `3 Insufficient cpu`, sorted as texts.
pub fn histogram(reasons: &BTreeMap<Reason, usize>) -> String {
    let mut texts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    texts.join(", ")
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty_cluster() {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available:", self.nodes)?;
        match &self.pre_filter {
            Some(reason) => write!(f, " {reason}.")?,
            None if !self.reasons.is_empty() => write!(f, " {}.", histogram(&self.reasons))?,
            None => {}
        }
        match self.post_filter.as_str() {
            "" => Ok(()),
            message => write!(f, " {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_upstreams() {
        let mut error = FitError { nodes: 3, ..FitError::default() };
        let node = NodeIndex;
        error.refuse(node(0), "TaintToleration", Rejection::unresolvable("node(s) had untolerated taint(s)"));
        error.refuse(node(1), "NodeResourcesFit", Rejection::resolvable("Insufficient cpu"));
        error.refuse(node(2), "NodeResourcesFit", Rejection::resolvable("Insufficient cpu"));
        assert_eq!(
            error.to_string(),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
        );
        assert_eq!(error.resolvable, [node(1), node(2)]);
        error.post_filter = "preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.".into();
        assert_eq!(
            error.to_string(),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. \
             preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
             2 No preemption victims found for incoming pod."
        );
    }

    #[test]
    fn an_empty_cluster_has_its_own_words() {
        assert_eq!(FitError::default().to_string(), "no nodes available to schedule pods");
    }
}
