//! A transport that answers as the API server does in what the scheduler asks:
//! lists, watches, bindings, status patches, deletions and events.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Status, Value};
use async_trait::async_trait;
use client::{
    Document, Error, List, ListOptions, Request, Resource, Transport, Verb, WatchEvent, WatchKind,
    WatchStream,
};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

#[derive(Default)]
pub struct FakeApi(Mutex<State>);

#[derive(Default)]
struct State {
    revision: u64,
    /// By plural, then `namespace/name`.
    objects: BTreeMap<(String, String), (Value, u64)>,
    history: Vec<(String, WatchEvent)>,
    watchers: Vec<(String, mpsc::UnboundedSender<WatchEvent>)>,
    /// So many bindings fail yet.
    failing_bindings: usize,
    /// Resource and verb of each write.
    writes: Vec<String>,
}

fn document(tree: &Value, revision: u64) -> Document {
    Document::new(serde_json::to_vec(tree).unwrap().into(), revision)
}

fn key_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"].text(), metadata["name"].text())
}

impl State {
    fn put(&mut self, plural: &str, object: Value) {
        self.revision += 1;
        let key = (plural.to_owned(), key_of(&object));
        let event_object = document(&object, self.revision);
        let kind = match self.objects.insert(key, (object, self.revision)) {
            Some(_) => WatchKind::Modified,
            None => WatchKind::Added,
        };
        self.publish(plural, kind, event_object);
    }

    fn remove(&mut self, plural: &str, key: &str) -> bool {
        let Some((object, _)) = self.objects.remove(&(plural.to_owned(), key.to_owned())) else {
            return false;
        };
        self.revision += 1;
        let last = document(&object, self.revision);
        self.publish(plural, WatchKind::Deleted, last);
        true
    }

    fn publish(&mut self, plural: &str, kind: WatchKind, object: Document) {
        let event = WatchEvent { kind, object, ends_initial_events: false };
        self.history.push((plural.to_owned(), event.clone()));
        self.watchers.retain(|(of, watcher)| of != plural || watcher.send(event.clone()).is_ok());
    }

    fn bind(&mut self, key: &str, binding: &Value) -> Result<(), Error> {
        if self.failing_bindings > 0 {
            self.failing_bindings -= 1;
            return Err(Error::Unreachable("as the test wants".into()));
        }
        let (pod, _) = self.objects.get(&("pods".into(), key.into())).ok_or_else(not_found)?;
        let mut pod = pod.clone();
        assert_eq!(pod["metadata"]["uid"].text(), binding["metadata"]["uid"].text());
        assert!(pod["spec"]["nodeName"].is_null(), "{key} is bound twice");
        pod.set_at(&["spec", "nodeName"], binding["target"]["name"].clone());
        self.put("pods", pod);
        Ok(())
    }

    fn patch_status(&mut self, key: &str, patch: &Value) -> Result<(), Error> {
        let (pod, _) = self.objects.get(&("pods".into(), key.into())).ok_or_else(not_found)?;
        let mut pod = pod.clone();
        for part in ["conditions", "nominatedNodeName"] {
            if !patch["status"][part].is_null() {
                pod.set_at(&["status", part], patch["status"][part].clone());
            }
        }
        self.put("pods", pod);
        Ok(())
    }
}

fn not_found() -> Error {
    Error::from(Status::failure(404, "NotFound", "not found"))
}

impl FakeApi {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn put(&self, plural: &str, object: Value) {
        self.0.lock().put(plural, object);
    }

    pub fn fail_bindings(&self, count: usize) {
        self.0.lock().failing_bindings = count;
    }

    pub fn get(&self, plural: &str, key: &str) -> Option<Value> {
        self.0.lock().objects.get(&(plural.to_owned(), key.to_owned())).map(|(object, _)| object.clone())
    }

    /// The node of a pod in `default`; "" for none.
    pub fn node_of(&self, name: &str) -> String {
        self.get("pods", &format!("default/{name}"))
            .map_or(String::new(), |pod| pod["spec"]["nodeName"].text().to_owned())
    }

    /// `reason: message` of every event, in the order of their names.
    pub fn events(&self) -> Vec<String> {
        let state = self.0.lock();
        let events = state.objects.iter().filter(|((plural, _), _)| plural == "events");
        events
            .map(|(_, (event, _))| format!("{}: {}", event["reason"].text(), event["message"].text()))
            .collect()
    }

    /// How often a write such as `patch pods/status` came.
    pub fn writes(&self, what: &str) -> usize {
        self.0.lock().writes.iter().filter(|write| *write == what).count()
    }
}

#[async_trait]
impl Transport for FakeApi {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        let mut state = self.0.lock();
        let plural = request.resource.plural.to_string();
        let part = request.subresource.as_ref().map_or(String::new(), |part| format!("/{part}"));
        let key = format!("{}/{}", request.namespace.unwrap_or_default(), request.name.unwrap_or_default());
        let (verb, done) = match (request.verb, part.as_str()) {
            (Verb::Create { object, .. }, "/binding") => ("create", state.bind(&key, &object)),
            (Verb::Create { object, .. }, "") => {
                state.put(&plural, object);
                ("create", Ok(()))
            }
            (Verb::Patch { body, .. }, "/status") => ("patch", state.patch_status(&key, &body)),
            (Verb::Patch { .. }, "") => ("patch", Ok(())),
            (Verb::Delete(_), "") => {
                let there = state.remove(&plural, &key);
                ("delete", if there { Ok(()) } else { Err(not_found()) })
            }
            (other, part) => panic!("the scheduler does not ask for {other:?} of {plural}{part}"),
        };
        state.writes.push(format!("{verb} {plural}{part}"));
        done.map(|()| {
            Document::new(
                br#"{"metadata":{},"spec":{"containers":[]},"involvedObject":{}}"#.to_vec().into(),
                0,
            )
        })
    }

    async fn list(&self, resource: &Resource, _: Option<&str>, _: &ListOptions) -> Result<List, Error> {
        let state = self.0.lock();
        let of = state.objects.iter().filter(|((plural, _), _)| *plural == resource.plural);
        let items = of.map(|(_, (object, revision))| document(object, *revision)).collect();
        Ok(List { items, revision: state.revision, continue_token: None })
    }

    async fn watch(
        &self,
        resource: &Resource,
        _: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        let mut state = self.0.lock();
        let from: u64 = options.resource_version.as_deref().unwrap_or("0").parse().unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        for (plural, event) in &state.history {
            if *plural == resource.plural && event.object.revision() > from {
                sender.send(event.clone()).unwrap();
            }
        }
        state.watchers.push((resource.plural.to_string(), sender));
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((Ok(event), receiver))
        });
        Ok(events.boxed())
    }
}
