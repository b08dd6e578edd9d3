//! The revisions of a StatefulSet's template. Pure.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};

use super::members::Revision;
use crate::revisions::{self, Action};
use crate::template_hash::template_hash;

const HASH: &str = "controller.kubernetes.io/hash";

/// The two revisions between which the set moves, and what to write.
pub struct History {
    pub current: Revision,
    pub update: Revision,
    pub actions: Vec<Action>,
}

/// `live` tells whether any pod is of the revision of a name.
pub fn plan(set: &StatefulSet, revisions: &[&ControllerRevision], live: impl Fn(&str) -> bool) -> History {
    let template = &set.spec.template;
    let data = revisions::data(template);
    let sorted = revisions::sorted(revisions);
    let status = set.status.as_ref();
    let hash = template_hash(template, Some(status.and_then(|status| status.collision_count).unwrap_or(0)));
    let create = |number| revisions::new(set, template, data.clone(), (HASH, &hash), number);
    let (found, action) = revisions::current(&sorted, &data, create);
    let name = match (found, &action) {
        (Some(found), _) => revisions::name(found).to_owned(),
        (None, Some(Action::Create(created))) => revisions::name(created).to_owned(),
        (None, _) => String::new(),
    };
    let update = Revision { name, template: template.clone() };
    let known = status.and_then(|status| status.current_revision.as_deref()).unwrap_or_default();
    let current = sorted
        .iter()
        .find(|revision| revisions::name(revision) == known)
        .and_then(|revision| {
            Some(Revision { name: known.to_owned(), template: revisions::template(revision)? })
        })
        .unwrap_or_else(|| update.clone());
    let mut actions: Vec<_> = action.into_iter().collect();
    let dead: Vec<_> = sorted
        .iter()
        .filter(|revision| {
            let name = revisions::name(revision);
            name != current.name && name != update.name && !live(name)
        })
        .collect();
    let limit = set.spec.revision_history_limit.unwrap_or(10);
    let surplus = usize::try_from(limit).map_or(0, |limit| dead.len().saturating_sub(limit));
    actions.extend(dead.into_iter().take(surplus).map(|revision| Action::delete(revision)));
    History { current, update, actions }
}
