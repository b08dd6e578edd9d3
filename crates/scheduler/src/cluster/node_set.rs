//! A set of nodes as bits, so that indexes meet in a few words: 5,000 nodes
//! are 79 of them.

/// Where a node stands in the cluster; kept as long as the node exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// A set of [`NodeIndex`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(Vec<u64>);

impl NodeSet {
    pub fn insert(&mut self, node: NodeIndex) {
        let (word, bit) = place(node);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    pub fn remove(&mut self, node: NodeIndex) {
        let (word, bit) = place(node);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Inserts or removes.
    pub fn set(&mut self, node: NodeIndex, present: bool) {
        match present {
            true => self.insert(node),
            false => self.remove(node),
        }
    }

    pub fn contains(&self, node: NodeIndex) -> bool {
        let (word, bit) = place(node);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Keeps what is in `other` too.
    pub fn retain_common(&mut self, other: &NodeSet) {
        self.0.truncate(other.0.len());
        for (word, others) in self.0.iter_mut().zip(&other.0) {
            *word &= others;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// All members, in order, beginning at `start` and going round.
    pub fn iter_from(&self, start: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let words = self.0.len();
        let (first, bit) = place(start);
        let from_bit = !(bit - 1);
        // The first word is met twice: its upper bits first, its lower ones last.
        let whole = (first + 1..words).chain(0..first.min(words)).map(|word| (word, u64::MAX));
        let upper = (first < words).then_some((first, from_bit));
        let lower = (first < words).then_some((first, !from_bit));
        upper
            .into_iter()
            .chain(whole)
            .chain(lower)
            .flat_map(|(word, mask)| Bits { word: word as u32, left: self.0[word] & mask })
    }

    /// All members, in order.
    pub fn iter(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.iter_from(NodeIndex(0))
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<T: IntoIterator<Item = NodeIndex>>(nodes: T) -> Self {
        let mut set = Self::default();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}

fn place(node: NodeIndex) -> (usize, u64) {
    (node.0 as usize / 64, 1 << (node.0 % 64))
}

struct Bits {
    word: u32,
    left: u64,
}

impl Iterator for Bits {
    type Item = NodeIndex;

    fn next(&mut self) -> Option<NodeIndex> {
        if self.left == 0 {
            return None;
        }
        let bit = self.left.trailing_zeros();
        self.left &= self.left - 1;
        Some(NodeIndex(self.word * 64 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[u32]) -> NodeSet {
        members.iter().map(|member| NodeIndex(*member)).collect()
    }

    #[test]
    fn iteration_goes_round_once() {
        let all = set(&[0, 3, 64, 70, 200]);
        for (start, expected) in [
            (0, [0, 3, 64, 70, 200]),
            (3, [3, 64, 70, 200, 0]),
            (65, [70, 200, 0, 3, 64]),
            (201, [0, 3, 64, 70, 200]),
            (9000, [0, 3, 64, 70, 200]),
        ] {
            let met: Vec<u32> = all.iter_from(NodeIndex(start)).map(|node| node.0).collect();
            assert_eq!(met, expected, "from {start}");
        }
    }

    #[test]
    fn sets_meet() {
        let mut all = set(&[1, 64, 130]);
        all.retain_common(&set(&[1, 2, 64]));
        assert_eq!((all.len(), all.contains(NodeIndex(64)), all.contains(NodeIndex(130))), (2, true, false));
        all.remove(NodeIndex(1));
        all.set(NodeIndex(64), false);
        assert!(all.is_empty());
    }
}
