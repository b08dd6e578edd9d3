//! Old roots that lists in pages go on reading, and how an old root is made
//! again from a newer one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::snapshot::Root;
use crate::{Entry, Key, Limits, Revision};

/// A few old roots, the last used at the end. What they keep alive is counted
/// by the bytes that were replaced since their revision.
#[derive(Default)]
pub(crate) struct Retained {
    roots: VecDeque<(Root, u64)>,
    /// All bytes ever replaced.
    replaced: u64,
}

impl Retained {
    pub fn get(&mut self, revision: Revision) -> Option<Root> {
        let at = self.roots.iter().position(|(root, _)| root.revision == revision)?;
        let kept = self.roots.remove(at)?;
        let root = kept.0.clone();
        self.roots.push_back(kept);
        Some(root)
    }

    /// Keeps `root`, since which `replaced` bytes were replaced.
    pub fn keep(&mut self, root: Root, replaced: usize, limits: &Limits) -> Vec<Root> {
        if self.roots.iter().all(|(kept, _)| kept.revision != root.revision) {
            self.roots.push_back((root, self.replaced.saturating_sub(replaced as u64)));
        }
        self.trim(limits)
    }

    /// Notes that bytes were replaced, and lets go of what became too dear.
    pub fn replace(&mut self, bytes: usize, limits: &Limits) -> Vec<Root> {
        self.replaced += bytes as u64;
        self.trim(limits)
    }

    fn trim(&mut self, limits: &Limits) -> Vec<Root> {
        let mut gone = Vec::new();
        let replaced = self.replaced;
        self.roots.retain(|(root, since)| {
            let keep = replaced - since <= limits.retained_bytes as u64;
            if !keep {
                gone.push(root.clone());
            }
            keep
        });
        while self.roots.len() > limits.retained_roots {
            gone.extend(self.roots.pop_front().map(|(root, _)| root));
        }
        gone
    }
}

/// A key and what was under it before it changed first.
pub(crate) type Undo = (Key, Option<Arc<Entry>>);

/// Makes the root of `revision` from a newer one. `undo` holds the changes
/// since, newest first. Also tells about how many bytes were replaced since.
pub(crate) fn rewind(
    mut root: Root,
    revision: Revision,
    undo: impl IntoIterator<Item = Undo>,
) -> (Root, usize) {
    let mut replaced = 0;
    for (key, previous) in undo {
        replaced += previous.as_ref().map_or(0, |previous| previous.weight());
        root.restore(&key, previous);
    }
    root.revision = revision;
    (root, replaced)
}
