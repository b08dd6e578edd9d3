//! Every object of every resource, reduced to the metadata that ownership and
//! removal are decided by.
//!
//! The built-in resources are known from discovery's facts; those of custom
//! resources come and go with their definitions. An object costs its names and
//! a uid; a resource without objects costs one idle watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Document, Error, Resource, Transport};
use edge::{Edge, Tasks};
use informer::{Change, Informer, ObjectKey, Options, Projection};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;
use serde::Deserialize;

/// A resource with what its objects are called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub resource: Resource,
    pub kind: String,
    pub namespaced: bool,
    /// Its collections can be deleted at once.
    pub collection: bool,
}

impl Kind {
    /// Whether a reference of this apiVersion and kind means this resource:
    /// any version of its group will do.
    pub fn is_meant_by(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        self.kind == kind && self.resource.group == group
    }
}

/// The metadata of an object of any kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub terminating: bool,
}

impl Projection for Node {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Fields,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Fields {
            namespace: String,
            name: String,
            uid: String,
            owner_references: Vec<OwnerReference>,
            finalizers: Vec<String>,
            deletion_timestamp: Option<serde::de::IgnoredAny>,
        }
        let Part { metadata } = document.decode_part()?;
        Ok(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            owners: metadata.owner_references,
            finalizers: metadata.finalizers,
            terminating: metadata.deletion_timestamp.is_some(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// One change of an object of some kind.
pub struct AnyChange<'a> {
    pub kind: &'a Arc<Kind>,
    pub old: Option<&'a Node>,
    pub new: Option<&'a Node>,
}

type Handler = Arc<dyn Fn(AnyChange<'_>) + Send + Sync>;

struct Followed {
    kind: Arc<Kind>,
    informer: Informer<Node>,
    /// Ends the view when its definition goes; None for built-in resources.
    tasks: Option<Tasks>,
}

#[derive(Default)]
struct State {
    followed: BTreeMap<Resource, Followed>,
    handlers: Vec<Handler>,
}

/// Views of all resources.
pub struct Everything {
    edge: Edge,
    transport: Arc<dyn Transport>,
    state: Mutex<State>,
    definitions: Informer<Definition>,
}

/// Nobody owns these or is owned by them, and there are many.
const LEFT_OUT: [&str; 1] = ["events"];

impl Everything {
    pub fn start(edge: &Edge, transport: Arc<dyn Transport>) -> Arc<Self> {
        let definitions = Informer::start(
            edge,
            transport.clone(),
            Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
            Options::default(),
        );
        let everything = Arc::new(Self {
            edge: edge.clone(),
            transport,
            state: Mutex::default(),
            definitions: definitions.clone(),
        });
        for kind in built_in() {
            everything.follow(kind, None);
        }
        let weak = Arc::downgrade(&everything);
        definitions.on_change(move |change| {
            let Some(everything) = weak.upgrade() else { return };
            let before = change.old.and_then(|definition| definition.kind.clone());
            let after = change.new.and_then(|definition| definition.kind.clone());
            if before == after {
                return;
            }
            if let Some(kind) = before {
                everything.leave(&kind);
            }
            if let Some(kind) = after {
                everything.follow(kind, Some(everything.edge.tasks.child()));
            }
        });
        everything
    }

    fn follow(&self, kind: Kind, tasks: Option<Tasks>) {
        let edge = match &tasks {
            Some(tasks) => self.edge.with_tasks(tasks.clone()),
            None => self.edge.clone(),
        };
        let informer =
            Informer::start(&edge, self.transport.clone(), kind.resource.clone(), Options::default());
        let kind = Arc::new(kind);
        let mut state = self.state.lock();
        for handler in &state.handlers {
            subscribe(&informer, &kind, handler.clone());
        }
        state.followed.insert(kind.resource.clone(), Followed { kind, informer, tasks });
    }

    fn leave(&self, kind: &Kind) {
        let followed = self.state.lock().followed.remove(&kind.resource);
        if let Some(tasks) = followed.and_then(|followed| followed.tasks) {
            tasks.stop();
        }
    }

    /// Tells `handler` of every object and every change from now on.
    pub fn on_change(&self, handler: impl Fn(AnyChange<'_>) + Send + Sync + 'static) {
        let handler: Handler = Arc::new(handler);
        let mut state = self.state.lock();
        for followed in state.followed.values() {
            subscribe(&followed.informer, &followed.kind, handler.clone());
        }
        state.handlers.push(handler);
    }

    /// Waits until every view but those of late definitions shows its first list.
    pub async fn synced(&self) {
        self.definitions.synced().await;
        let informers: Vec<_> =
            self.state.lock().followed.values().map(|followed| followed.informer.clone()).collect();
        for informer in informers {
            informer.synced().await;
        }
    }

    /// Every resource, in order of group and name.
    pub fn kinds(&self) -> Vec<Arc<Kind>> {
        self.state.lock().followed.values().map(|followed| followed.kind.clone()).collect()
    }

    /// The resource of a group by its plural.
    pub fn resource(&self, group: &str, plural: &str) -> Option<Resource> {
        let state = self.state.lock();
        state.followed.keys().find(|known| known.group == group && known.plural == plural).cloned()
    }

    /// The resource that a reference means.
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let state = self.state.lock();
        let mut kinds = state.followed.values().map(|followed| &followed.kind);
        kinds.find(|known| known.is_meant_by(api_version, kind)).cloned()
    }
}

fn subscribe(informer: &Informer<Node>, kind: &Arc<Kind>, handler: Handler) {
    let kind = kind.clone();
    informer.on_change(move |change: Change<'_, Node>| {
        handler(AnyChange {
            kind: &kind,
            old: change.old.map(AsRef::as_ref),
            new: change.new.map(AsRef::as_ref),
        });
    });
}

/// Every built-in resource that can be listed, watched and deleted, in one
/// version each.
fn built_in() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for resource in api::facts::discovery() {
        let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
        let known = kinds
            .iter()
            .any(|kind| kind.resource.group == resource.group && kind.resource.plural == resource.resource);
        if known || !(can("list") && can("watch") && can("delete")) {
            continue;
        }
        if LEFT_OUT.contains(&resource.resource.as_str()) {
            continue;
        }
        kinds.push(Kind {
            resource: Resource {
                group: resource.group.clone().into(),
                version: resource.version.clone().into(),
                plural: resource.resource.clone().into(),
            },
            kind: resource.kind.clone(),
            namespaced: resource.scope == api::facts::Scope::Namespaced,
            collection: can("deletecollection"),
        });
    }
    kinds
}

/// What of a CustomResourceDefinition tells its resource.
struct Definition {
    name: String,
    /// None while it is not established.
    kind: Option<Kind>,
}

impl Projection for Definition {
    fn project(document: &Document) -> Result<Self, Error> {
        use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
        let definition: CustomResourceDefinition = document.decode()?;
        let status = definition.status.unwrap_or_default();
        let established = status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Established" && condition.status == "True");
        let spec = definition.spec;
        let version = spec.versions.iter().find(|version| version.served).map(|version| version.name.clone());
        let kind = version.filter(|_| established).map(|version| Kind {
            resource: Resource {
                group: spec.group.into(),
                version: version.into(),
                plural: spec.names.plural.into(),
            },
            kind: spec.names.kind,
            namespaced: spec.scope == "Namespaced",
            collection: true,
        });
        Ok(Self { name: definition.metadata.name.unwrap_or_default(), kind })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_is_followed_once() {
        let kinds = built_in();
        let count = |group: &str, plural: &str| {
            kinds.iter().filter(|k| k.resource.group == group && k.resource.plural == plural).count()
        };
        assert_eq!(count("", "pods"), 1);
        assert_eq!(count("autoscaling", "horizontalpodautoscalers"), 1);
        assert_eq!(count("", "events") + count("events.k8s.io", "events"), 0);
        assert_eq!(count("", "bindings"), 0);
        let deployments = kinds.iter().find(|kind| kind.kind == "Deployment").unwrap();
        assert!(deployments.namespaced && deployments.is_meant_by("apps/v1beta1", "Deployment"));
        assert!(!deployments.is_meant_by("v1", "Deployment"));
    }
}
