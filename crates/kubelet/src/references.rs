//! ConfigMaps and Secrets that pods of this node use: each is watched by its
//! name while somebody uses it, and never asked for twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Document, Error, Resource, Transport};
use edge::{Edge, Tasks};
use informer::{Informer, ObjectKey, Options, Projection};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::pod::spec::PodExt;

/// How long a pod's step waits for the first answer about an object.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
        }
    }

    fn resource(self) -> Resource {
        match self {
            Kind::ConfigMap => Resource::new("", "v1", "configmaps"),
            Kind::Secret => Resource::new("", "v1", "secrets"),
        }
    }
}

/// What a ConfigMap or Secret holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    pub namespace: String,
    pub name: String,
    /// `data`, and `binaryData` of a ConfigMap.
    pub data: BTreeMap<String, Vec<u8>>,
    /// `type` of a Secret.
    pub secret_type: String,
}

impl Projection for Payload {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Part {
            kind: Option<String>,
            metadata: Metadata,
            r#type: Option<String>,
            binary_data: Option<BTreeMap<String, ByteString>>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            namespace: String,
            name: String,
        }
        #[derive(Deserialize)]
        struct Plain {
            data: Option<BTreeMap<String, String>>,
        }
        #[derive(Deserialize)]
        struct Encoded {
            data: Option<BTreeMap<String, ByteString>>,
        }
        let part: Part = document.decode_part()?;
        // Items of a list carry no kind; only secrets have a type.
        let is_secret = part.r#type.is_some() || part.kind.as_deref() == Some("Secret");
        let bytes = |map: Option<BTreeMap<String, ByteString>>| {
            map.into_iter().flatten().map(|(key, value)| (key, value.0))
        };
        let mut data: BTreeMap<String, Vec<u8>> = bytes(part.binary_data).collect();
        if is_secret {
            data.extend(bytes(document.decode_part::<Encoded>()?.data));
        } else {
            let plain: Plain = document.decode_part()?;
            data.extend(plain.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes())));
        }
        Ok(Self {
            namespace: part.metadata.namespace,
            name: part.metadata.name,
            data,
            secret_type: part.r#type.unwrap_or_default(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// The objects of one namespace that a decision needs, fetched beforehand.
#[derive(Clone, Debug, Default)]
pub struct Payloads(BTreeMap<(Kind, String), Option<Arc<Payload>>>);

impl Payloads {
    #[cfg(test)]
    pub fn insert(&mut self, kind: Kind, name: &str, payload: Option<Payload>) {
        self.0.insert((kind, name.to_owned()), payload.map(Arc::new));
    }

    /// None for an optional object that is not there; the error is for the
    /// status and events.
    pub fn get(&self, kind: Kind, name: &str, optional: bool) -> Result<Option<&Payload>, String> {
        match self.0.get(&(kind, name.to_owned())) {
            Some(Some(payload)) => Ok(Some(payload)),
            _ if optional => Ok(None),
            _ => Err(format!("{} {name:?} not found", kind.as_str().to_lowercase())),
        }
    }
}

/// One object of the pod's namespace.
pub type Key = (Kind, String);

/// Everything that a pod may need while it lives on the node.
pub fn of_pod(pod: &Pod) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    for (_, container) in pod.containers() {
        keys.extend(of_container(container));
    }
    for container in pod.ephemeral_containers() {
        keys.extend(of_container(&container));
    }
    for volume in pod.spec().volumes.iter().flatten() {
        keys.extend(of_volume(volume));
    }
    for secret in pod.spec().image_pull_secrets.iter().flatten() {
        keys.insert((Kind::Secret, secret.name.clone()));
    }
    keys.retain(|(_, name)| !name.is_empty());
    keys
}

pub fn of_container(container: &Container) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    for source in container.env_from.iter().flatten() {
        keys.extend(source.config_map_ref.iter().map(|one| (Kind::ConfigMap, one.name.clone())));
        keys.extend(source.secret_ref.iter().map(|one| (Kind::Secret, one.name.clone())));
    }
    for source in container.env.iter().flatten().filter_map(|one| one.value_from.as_ref()) {
        keys.extend(source.config_map_key_ref.iter().map(|one| (Kind::ConfigMap, one.name.clone())));
        keys.extend(source.secret_key_ref.iter().map(|one| (Kind::Secret, one.name.clone())));
    }
    keys
}

pub fn of_volume(volume: &Volume) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    keys.extend(volume.config_map.iter().map(|one| (Kind::ConfigMap, one.name.clone())));
    keys.extend(volume.secret.iter().filter_map(|one| Some((Kind::Secret, one.secret_name.clone()?))));
    for source in volume.projected.iter().flat_map(|one| one.sources.iter().flatten()) {
        keys.extend(source.config_map.iter().map(|one| (Kind::ConfigMap, one.name.clone())));
        keys.extend(source.secret.iter().map(|one| (Kind::Secret, one.name.clone())));
    }
    keys
}

/// Watches the objects that are used.
pub struct References {
    edge: Edge,
    transport: Arc<dyn Transport>,
    /// Uids of pods whose objects have changed.
    changed: mpsc::UnboundedSender<String>,
    watched: Mutex<BTreeMap<(Kind, ObjectKey), Watched>>,
}

struct Watched {
    informer: Informer<Payload>,
    users: Arc<Mutex<BTreeSet<String>>>,
    tasks: Tasks,
}

impl References {
    pub fn new(edge: Edge, transport: Arc<dyn Transport>, changed: mpsc::UnboundedSender<String>) -> Self {
        Self { edge, transport, changed, watched: Mutex::default() }
    }

    /// Begins to watch what the pod uses.
    pub fn hold(&self, pod: &Pod) {
        let uid = pod.uid().to_owned();
        let mut watched = self.watched.lock();
        for (kind, name) in of_pod(pod) {
            let key = ObjectKey::new(pod.namespace(), name);
            let entry = watched.entry((kind, key.clone())).or_insert_with(|| self.watch(kind, key));
            entry.users.lock().insert(uid.clone());
        }
    }

    /// Ends it; what nobody else uses is forgotten.
    pub fn release(&self, pod: &Pod) {
        let mut watched = self.watched.lock();
        for (kind, name) in of_pod(pod) {
            let key = (kind, ObjectKey::new(pod.namespace(), name));
            let Some(entry) = watched.get(&key) else { continue };
            let unused = {
                let mut users = entry.users.lock();
                users.remove(pod.uid());
                users.is_empty()
            };
            if unused && let Some(entry) = watched.remove(&key) {
                entry.tasks.stop();
            }
        }
    }

    fn watch(&self, kind: Kind, key: ObjectKey) -> Watched {
        let tasks = self.edge.tasks.child();
        let options = Options {
            namespace: Some(key.namespace.clone()),
            field_selector: Some(format!("metadata.name={}", key.name)),
            ..Options::default()
        };
        let edge = self.edge.with_tasks(tasks.clone());
        let informer = Informer::start(&edge, self.transport.clone(), kind.resource(), options);
        let users = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let (changed, told) = (self.changed.clone(), users.clone());
        informer.on_change(move |_| {
            for uid in told.lock().iter() {
                // The receiver ends with the kubelet.
                let _ = changed.send(uid.clone());
            }
        });
        Watched { informer, users, tasks }
    }

    /// The objects that `keys` name, as they are now. Waits for the first
    /// answer about each; what the pod does not hold counts as missing.
    pub async fn fetch(&self, namespace: &str, keys: BTreeSet<Key>) -> Result<Payloads, String> {
        let mut found = Payloads::default();
        for (kind, name) in keys {
            let key = ObjectKey::new(namespace, name.clone());
            let informer = self.watched.lock().get(&(kind, key.clone())).map(|entry| entry.informer.clone());
            let Some(informer) = informer else { continue };
            if tokio::time::timeout(PATIENCE, informer.synced()).await.is_err() {
                let kind = kind.as_str().to_lowercase();
                return Err(format!("failed to sync {kind} cache: timed out waiting for the condition"));
            }
            found.0.insert((kind, name), informer.get(&key));
        }
        Ok(found)
    }
}
