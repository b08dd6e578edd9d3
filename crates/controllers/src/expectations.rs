//! What a controller did and its cache does not show yet.
//!
//! Without it a stale cache would make a controller create the same pods twice
//! (`controller.UIDTrackingControllerExpectations`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use informer::{Change, ObjectKey};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pods::PodView;

/// After so long a lost event is assumed and the cache believed again.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Creations and deletions that are waited for, by owner.
#[derive(Default)]
pub struct Expectations(Mutex<BTreeMap<ObjectKey, Expected>>);

struct Expected {
    since: Instant,
    creations: usize,
    /// Uids.
    deletions: BTreeSet<String>,
}

impl Expectations {
    /// Whether the cache shows all that `owner`'s controller did.
    pub fn are_met(&self, owner: &ObjectKey) -> bool {
        let mut all = self.0.lock();
        let open = all.get(owner).is_some_and(|expected| {
            (expected.creations > 0 || !expected.deletions.is_empty()) && expected.since.elapsed() < PATIENCE
        });
        if !open {
            all.remove(owner);
        }
        !open
    }

    fn expect(&self, owner: &ObjectKey, change: impl FnOnce(&mut Expected)) {
        let mut all = self.0.lock();
        let expected = all.entry(owner.clone()).or_insert_with(|| Expected {
            since: Instant::now(),
            creations: 0,
            deletions: BTreeSet::new(),
        });
        expected.since = Instant::now();
        change(expected);
    }

    fn saw(&self, owner: &ObjectKey, change: impl FnOnce(&mut Expected)) {
        if let Some(expected) = self.0.lock().get_mut(owner) {
            change(expected);
        }
    }

    /// Before so many creations are sent.
    pub fn expect_creations(&self, owner: &ObjectKey, count: usize) {
        self.expect(owner, |expected| expected.creations += count);
    }

    /// A creation was seen, or has failed.
    pub fn creation_seen(&self, owner: &ObjectKey) {
        self.saw(owner, |expected| expected.creations = expected.creations.saturating_sub(1));
    }

    /// Before deletions are sent.
    pub fn expect_deletions(&self, owner: &ObjectKey, uids: impl IntoIterator<Item = String>) {
        self.expect(owner, |expected| expected.deletions.extend(uids));
    }

    /// A deletion was seen (or its beginning), or has failed.
    pub fn deletion_seen(&self, owner: &ObjectKey, uid: &str) {
        self.saw(owner, |expected| {
            expected.deletions.remove(uid);
        });
    }

    /// Takes in a change of a pod, where a controller of `kind` owns it.
    pub fn note_pod_change(&self, kind: &str, change: &Change<'_, PodView>) {
        let owner = |pod: &PodView| {
            let owner = pod.controller.as_ref().filter(|owner| owner.kind == kind)?;
            Some(ObjectKey::new(pod.namespace.clone(), owner.name.clone()))
        };
        match (change.old, change.new) {
            (None, Some(new)) if !new.terminating => {
                owner(new).iter().for_each(|owner| self.creation_seen(owner));
            }
            (_, Some(new)) if new.terminating => {
                owner(new).iter().for_each(|owner| self.deletion_seen(owner, &new.uid));
            }
            (Some(old), None) => owner(old).iter().for_each(|owner| self.deletion_seen(owner, &old.uid)),
            _ => {}
        }
    }

    /// The owner is gone.
    pub fn forget(&self, owner: &ObjectKey) {
        self.0.lock().remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn expectations_are_met_by_events_or_time() {
        let expectations = Expectations::default();
        let owner = ObjectKey::new("ns", "set");
        assert!(expectations.are_met(&owner));
        expectations.expect_creations(&owner, 2);
        expectations.expect_deletions(&owner, ["u".to_owned()]);
        expectations.creation_seen(&owner);
        expectations.creation_seen(&owner);
        assert!(!expectations.are_met(&owner));
        expectations.deletion_seen(&owner, "u");
        assert!(expectations.are_met(&owner));
        expectations.expect_creations(&owner, 1);
        tokio::time::advance(PATIENCE).await;
        assert!(expectations.are_met(&owner));
    }
}
