//! The revisions of a DaemonSet's template, for `kubectl rollout`. Pure.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};

use crate::revisions::{self, Action};
use crate::template_hash::template_hash;

/// The label of pods and revisions.
pub const HASH: &str = "controller-revision-hash";

/// The current revision's hash, and what to do.
pub struct History {
    pub hash: String,
    pub actions: Vec<Action>,
}

/// `live` tells whether any pod is still of a revision's hash.
pub fn plan(set: &DaemonSet, revisions: &[&ControllerRevision], live: impl Fn(&str) -> bool) -> History {
    let template = &set.spec.template;
    let data = revisions::data(template);
    let sorted = revisions::sorted(revisions);
    let collisions = set.status.as_ref().and_then(|status| status.collision_count);
    let new_hash = template_hash(template, collisions);
    let create = |number| revisions::new(set, template, data.clone(), (HASH, &new_hash), number);
    let (current, action) = revisions::current(&sorted, &data, create);
    let hash = current.map_or_else(|| new_hash.clone(), |current| hash_of(current).to_owned());
    let limit = usize::try_from(set.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let is_current = |revision: &ControllerRevision| {
        current.is_some_and(|current| revisions::name(current) == revisions::name(revision))
    };
    let old: Vec<_> = sorted.iter().filter(|revision| !is_current(revision)).collect();
    let surplus = old.len().saturating_sub(limit);
    let dead = old.into_iter().filter(|revision| !live(hash_of(revision)));
    let mut actions: Vec<_> = action.into_iter().collect();
    actions.extend(dead.take(surplus).map(|revision| Action::delete(revision)));
    History { hash, actions }
}

pub fn hash_of(revision: &ControllerRevision) -> &str {
    let labels = revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(HASH)).map(String::as_str).unwrap_or_default()
}
