//! The revisions of a DaemonSet's template, for `kubectl rollout`. Pure.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use crate::template_hash::template_hash;

/// The label of pods and revisions.
pub const HASH: &str = "controller-revision-hash";

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(Box<ControllerRevision>),
    /// An older revision is current again: it gets the newest number.
    Renumber {
        name: String,
        revision: i64,
    },
    Delete {
        name: String,
        uid: String,
    },
}

/// The current revision's hash, and what to do.
pub struct History {
    pub hash: String,
    pub actions: Vec<Action>,
}

/// `live` tells whether any pod is still of a revision's hash.
pub fn plan(set: &DaemonSet, revisions: &[&ControllerRevision], live: impl Fn(&str) -> bool) -> History {
    let data = data(set);
    let mut sorted = revisions.to_vec();
    sorted.sort_by_key(|revision| (number(revision), revision.metadata.name.clone()));
    let newest = sorted.last().map_or(0, |revision| number(revision));
    let current = sorted.iter().rev().find(|revision| revision.data == data);
    let mut actions = Vec::new();
    let hash = match current {
        Some(current) => {
            if number(current) < newest {
                let name = current.metadata.name.clone().unwrap_or_default();
                actions.push(Action::Renumber { name, revision: newest + 1 });
            }
            hash_of(current).to_owned()
        }
        None => {
            let collisions = set.status.as_ref().and_then(|status| status.collision_count);
            let hash = template_hash(&set.spec.template, collisions);
            actions.push(Action::Create(Box::new(create(set, data, &hash, newest + 1))));
            hash
        }
    };
    let limit = usize::try_from(set.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let old: Vec<_> =
        sorted.iter().filter(|revision| current.is_none_or(|current| !same(revision, current))).collect();
    let surplus = old.len().saturating_sub(limit);
    let dead = old.into_iter().filter(|revision| !live(hash_of(revision)));
    actions.extend(dead.take(surplus).map(|revision| Action::Delete {
        name: revision.metadata.name.clone().unwrap_or_default(),
        uid: revision.metadata.uid.clone().unwrap_or_default(),
    }));
    History { hash, actions }
}

fn same(a: &ControllerRevision, b: &ControllerRevision) -> bool {
    a.metadata.name == b.metadata.name
}

fn number(revision: &ControllerRevision) -> i64 {
    revision.revision.unwrap_or(0)
}

pub fn hash_of(revision: &ControllerRevision) -> &str {
    let labels = revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(HASH)).map(String::as_str).unwrap_or_default()
}

/// The patch that brings a set back to this template.
pub fn data(set: &DaemonSet) -> RawExtension {
    let mut template = serde_json::to_value(&set.spec.template).expect("a typed view is always JSON");
    template["$patch"] = "replace".into();
    RawExtension(serde_json::json!({"spec": {"template": template}}))
}

fn create(set: &DaemonSet, data: RawExtension, hash: &str, revision: i64) -> ControllerRevision {
    let name = set.metadata.name.clone().unwrap_or_default();
    let template_labels = set.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    let mut labels = template_labels.unwrap_or_default();
    labels.insert(HASH.into(), hash.to_owned());
    let mut annotations = set.metadata.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".into(),
                kind: "DaemonSet".into(),
                name,
                uid: set.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        data,
        revision: Some(revision),
    }
}
