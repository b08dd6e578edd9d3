//! An API in memory, with as much of patches and deletion as a kubelet uses.

use std::collections::BTreeMap;

use apimachinery::Status;
use async_trait::async_trait;
use bytes::Bytes;
use client::{
    Document, Error, List, ListOptions, Request, Resource, Transport, Verb, WatchEvent, WatchKind,
    WatchStream,
};
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

type Key = (String, String, String);

pub struct FakeApi {
    state: Mutex<State>,
    events: broadcast::Sender<(u64, WatchKind, Key, Value)>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Value>,
}

impl FakeApi {
    pub fn new() -> Self {
        Self { state: Mutex::default(), events: broadcast::channel(4096).0 }
    }

    /// Creates or replaces an object.
    pub fn put(&self, plural: &str, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let key = (plural.to_owned(), text(&metadata["namespace"]), text(&metadata["name"]));
        let mut state = self.state.lock();
        self.commit(&mut state, key, Some(object));
    }

    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state.lock().objects.get(&(plural.into(), namespace.into(), name.into())).cloned()
    }

    /// All objects of a resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.state
            .lock()
            .objects
            .iter()
            .filter(|(key, _)| key.0 == plural)
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn commit(&self, state: &mut State, key: Key, object: Option<Value>) -> Value {
        state.revision += 1;
        let (kind, mut shown) = match (&object, state.objects.get(&key)) {
            (Some(new), None) => (WatchKind::Added, new.clone()),
            (Some(new), Some(_)) => (WatchKind::Modified, new.clone()),
            (None, old) => (WatchKind::Deleted, old.cloned().unwrap_or_default()),
        };
        shown["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        match object {
            Some(_) => state.objects.insert(key.clone(), shown.clone()),
            None => state.objects.remove(&key),
        };
        let _ = self.events.send((state.revision, kind, key, shown.clone()));
        shown
    }
}

fn document(object: &Value) -> Document {
    let revision =
        object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    Document::new(Bytes::from(object.to_string()), revision)
}

fn selects(options: &ListOptions, namespace: Option<&str>, key: &Key, object: &Value) -> bool {
    let fits = match options.field_selector.as_deref().and_then(|selector| selector.split_once('=')) {
        None => true,
        Some(("metadata.name", name)) => key.2 == name,
        Some(("spec.nodeName", name)) => object["spec"]["nodeName"] == name,
        Some(other) => panic!("the fake API does not know the selector {other:?}"),
    };
    fits && namespace.is_none_or(|namespace| key.1 == namespace)
}

/// Merges as a strategic patch does for what kubelets send: conditions by type.
fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(target), Value::Object(changes)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (name, change) in changes {
        match (target.get_mut(name), change) {
            (_, Value::Null) => drop(target.remove(name)),
            (Some(Value::Array(list)), Value::Array(items)) if name == "conditions" => {
                for item in items {
                    match list.iter_mut().find(|one| one["type"] == item["type"]) {
                        Some(one) => merge(one, item),
                        None => list.push(item.clone()),
                    }
                }
            }
            (_, Value::Array(items)) => {
                let kept: Vec<_> =
                    items.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
                target.insert(name.clone(), Value::Array(kept));
            }
            (Some(old @ Value::Object(_)), Value::Object(_)) => merge(old, change),
            _ => drop(target.insert(name.clone(), change.clone())),
        }
    }
}

#[async_trait]
impl Transport for FakeApi {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        let plural = request.resource.plural.to_string();
        let namespace = request.namespace.clone().unwrap_or_default();
        let not_found = || Error::from(Status::failure(404, "NotFound", "not found"));
        let tree = |value: &apimachinery::Value| serde_json::to_value(value).expect("trees are JSON");
        let mut state = self.state.lock();
        let name = request.name.clone().unwrap_or_default();
        let key = (plural, namespace, name);
        match request.verb {
            Verb::Get => state.objects.get(&key).map(document).ok_or_else(not_found),
            Verb::Create { object, .. } if request.subresource.as_deref() == Some("token") => {
                let mut answer = tree(&object);
                answer["status"] = json!({"token": "a-token", "expirationTimestamp": "2030-01-01T00:00:00Z"});
                Ok(document(&answer))
            }
            Verb::Create { object, .. } => {
                let object = tree(&object);
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let mut key = (key.0, key.1, name);
                // In paused time many events share their instant, from which
                // their names are made.
                while key.0 == "events" && state.objects.contains_key(&key) {
                    key.2.push('x');
                }
                if state.objects.contains_key(&key) {
                    return Err(Status::failure(409, "AlreadyExists", "already exists").into());
                }
                Ok(document(&self.commit(&mut state, key, Some(object))))
            }
            Verb::Update { object, .. } => Ok(document(&self.commit(&mut state, key, Some(tree(&object))))),
            Verb::Patch { body, .. } => {
                let mut object = state.objects.get(&key).cloned().ok_or_else(not_found)?;
                merge(&mut object, &tree(&body));
                Ok(document(&self.commit(&mut state, key, Some(object))))
            }
            Verb::Delete(options) => {
                let object = state.objects.get(&key).cloned().ok_or_else(not_found)?;
                assert_eq!(options.preconditions.uid.as_deref(), object["metadata"]["uid"].as_str());
                Ok(document(&self.commit(&mut state, key, None)))
            }
            Verb::DeleteCollection { .. } => Err(not_found()),
        }
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        let state = self.state.lock();
        let items = state
            .objects
            .iter()
            .filter(|(key, object)| key.0 == resource.plural && selects(options, namespace, key, object))
            .map(|(_, object)| document(object));
        Ok(List { items: items.collect(), revision: state.revision, continue_token: None })
    }

    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        let events = self.events.subscribe();
        let (plural, options) = (resource.plural.to_string(), options.clone());
        let namespace = namespace.map(str::to_owned);
        let after: u64 = options.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        // What was committed between list and watch is in no channel: list again.
        if self.state.lock().revision > after {
            return Err(Status::failure(410, "Expired", "too old").into());
        }
        let stream =
            futures::stream::unfold(
                events,
                |mut events| async move { Some((events.recv().await.ok()?, events)) },
            );
        Ok(stream
            .filter_map(move |(_, kind, key, object)| {
                let fits = key.0 == plural && selects(&options, namespace.as_deref(), &key, &object);
                let event = WatchEvent { kind, object: document(&object), ends_initial_events: false };
                async move { fits.then_some(Ok(event)) }
            })
            .boxed())
    }
}
