//! ControllerRevisions: the numbered templates of a set, by which a rollout is
//! followed and undone. What is to be written is decided here and in the sets'
//! own folders; [`write`] carries it out.

use client::{Api, DeleteOptions, Error, Object, Patch};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use apimachinery::value;

use crate::owners::controlled_by;

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

impl Action {
    pub fn delete(revision: &ControllerRevision) -> Self {
        Action::Delete {
            name: name(revision).to_owned(),
            uid: revision.metadata.uid.clone().unwrap_or_default(),
        }
    }
}

pub fn name(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

pub fn number(revision: &ControllerRevision) -> i64 {
    revision.revision.unwrap_or(0)
}

/// Oldest first.
pub fn sorted<'a>(revisions: &[&'a ControllerRevision]) -> Vec<&'a ControllerRevision> {
    let mut sorted = revisions.to_vec();
    sorted.sort_by_key(|revision| {
        let created = revision.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (number(revision), created, revision.metadata.name.clone())
    });
    sorted
}

/// The patch that brings a set back to this template.
pub fn data(template: &PodTemplateSpec) -> RawExtension {
    let mut template = serde_json::to_value(template).expect("a typed view is always JSON");
    template["$patch"] = "replace".into();
    RawExtension(serde_json::json!({"spec": {"template": template}}))
}

/// The template that a revision keeps; None where it cannot be read.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.0.get("spec")?.get("template")?.clone()).ok()
}

/// The newest revision of this template among `sorted`, and the step that
/// makes it the newest of all; a new one where there is none. `create` is
/// given its number.
pub fn current<'a>(
    sorted: &[&'a ControllerRevision],
    data: &RawExtension,
    create: impl FnOnce(i64) -> ControllerRevision,
) -> (Option<&'a ControllerRevision>, Option<Action>) {
    let newest = sorted.last().map_or(0, |revision| number(revision));
    match sorted.iter().rev().find(|revision| revision.data == *data).copied() {
        Some(current) if number(current) < newest => {
            let renumber = Action::Renumber { name: name(current).to_owned(), revision: newest + 1 };
            (Some(current), Some(renumber))
        }
        Some(current) => (Some(current), None),
        None => (None, Some(Action::Create(Box::new(create(newest + 1))))),
    }
}

/// A new revision of `owner`: named and labelled by its hash.
pub fn new<K: Object>(
    owner: &K,
    template: &PodTemplateSpec,
    data: RawExtension,
    (label, hash): (&str, &str),
    revision: i64,
) -> ControllerRevision {
    let of_owner = owner.metadata();
    let of_template = template.metadata.as_ref();
    let name = of_owner.name.clone().unwrap_or_default();
    let mut labels = of_template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    labels.insert(label.to_owned(), hash.to_owned());
    let mut annotations = of_owner.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: of_owner.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![controlled_by(owner)]),
            ..ObjectMeta::default()
        },
        data,
        revision: Some(revision),
    }
}

/// What became of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    All,
    /// The name is another template's: the owner's `collisionCount` must grow.
    Collision,
}

pub async fn write(api: &Api<ControllerRevision>, actions: &[Action]) -> Result<Written, Error> {
    for action in actions {
        let result = match action {
            Action::Create(revision) => match api.create(revision).await {
                Err(error) if error.is_already_exists() => {
                    let existing = api.find(name(revision)).await?;
                    if existing.is_none_or(|existing| existing.data == revision.data) {
                        continue;
                    }
                    return Ok(Written::Collision);
                }
                other => other.map(drop),
            },
            Action::Renumber { name, revision } => {
                let patch = value!({"revision": (*revision)});
                api.patch(name, Patch::merge(patch)).await.map(drop)
            }
            Action::Delete { name, uid } => api.delete(name, DeleteOptions::uid(uid)).await,
        };
        match result {
            Err(error) if error.is_not_found() || crate::namespace_ends(&error) => {}
            other => other?,
        }
    }
    Ok(Written::All)
}
