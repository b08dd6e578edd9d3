//! Which nodes have how much of a resource left, by powers of two.
//!
//! The answer may be too generous by less than a factor of two, never too
//! strict: it spares the decision the nodes that are surely full.

use super::node_set::{NodeIndex, NodeSet};

/// Nodes by the free amount of one resource.
#[derive(Clone, Debug, Default)]
pub struct FreeIndex {
    /// `at_least[level]` holds the nodes whose level is `level` or more.
    at_least: Vec<NodeSet>,
    /// The level of each node.
    levels: Vec<u8>,
}

impl FreeIndex {
    /// Notes what is free on `node`; None takes the node out.
    pub fn put(&mut self, node: NodeIndex, free: Option<i64>) {
        let at = node.0 as usize;
        if self.levels.len() <= at {
            self.levels.resize(at + 1, 0);
        }
        let new = free.map_or(0, level);
        let old = std::mem::replace(&mut self.levels[at], new);
        if self.at_least.len() <= usize::from(new) {
            self.at_least.resize(usize::from(new) + 1, NodeSet::default());
        }
        for level in old.min(new) + 1..=old.max(new) {
            self.at_least[usize::from(level)].set(node, new >= level);
        }
    }

    /// Takes out of `nodes` those that surely have less than `wanted` left.
    pub fn keep_with(&self, wanted: i64, nodes: &mut NodeSet) {
        if wanted <= 0 {
            return;
        }
        match self.at_least.get(usize::from(level(wanted))) {
            Some(with) => nodes.retain_common(with),
            None => *nodes = NodeSet::default(),
        }
    }
}

/// 0 for nothing, else one more than the whole logarithm.
fn level(amount: i64) -> u8 {
    if amount <= 0 { 0 } else { amount.ilog2() as u8 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_too_little_are_left_out() {
        let mut index = FreeIndex::default();
        let node = NodeIndex;
        for (at, free) in [(0, 0), (1, 100), (2, 1000), (3, 4000)] {
            index.put(node(at), Some(free));
        }
        index.put(node(3), Some(90));
        index.put(node(2), None);
        index.put(node(4), Some(5000));
        for (wanted, expected) in [
            (0, vec![0, 1, 2, 3, 4]),
            (1, vec![1, 3, 4]),
            (64, vec![1, 3, 4]),
            (128, vec![4]),
            (1 << 20, vec![]),
        ] {
            let mut nodes: NodeSet = (0..5).map(node).collect();
            index.keep_with(wanted, &mut nodes);
            assert_eq!(nodes.iter().map(|node| node.0).collect::<Vec<_>>(), expected, "{wanted}");
        }
    }
}
