//! An API that holds a few objects and tells watchers of changes: enough for
//! an informer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use client::{
    Document, Error, List, ListOptions, Request, Resource, Transport, WatchEvent, WatchKind, WatchStream,
};
use futures::StreamExt;
use tokio::sync::broadcast;

#[derive(Clone)]
pub struct Api(Arc<State>);

/// By plural and name.
type Objects = BTreeMap<(String, String), Document>;

struct State {
    /// The last revision and what is there.
    objects: Mutex<(u64, Objects)>,
    events: broadcast::Sender<(String, WatchEvent)>,
}

impl Default for Api {
    fn default() -> Self {
        Self(Arc::new(State { objects: Mutex::default(), events: broadcast::channel(64).0 }))
    }
}

impl Api {
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    /// Creates or replaces; the name is read from the text.
    pub fn put(&self, plural: &str, json: &str) {
        let name = json.split("\"name\":\"").nth(1).unwrap().split('"').next().unwrap();
        self.change(plural, name, Some(json));
    }

    pub fn delete(&self, plural: &str, name: &str) {
        self.change(plural, name, None);
    }

    fn change(&self, plural: &str, name: &str, json: Option<&str>) {
        let mut held = self.0.objects.lock().unwrap();
        held.0 += 1;
        let revision = held.0;
        let key = (plural.to_owned(), name.to_owned());
        let old = held.1.remove(&key);
        let (kind, object) = match json {
            Some(json) => {
                let object = Document::new(json.to_owned().into_bytes().into(), revision);
                held.1.insert(key, object.clone());
                (if old.is_some() { WatchKind::Modified } else { WatchKind::Added }, object)
            }
            None => (WatchKind::Deleted, Document::new(old.unwrap().bytes().clone(), revision)),
        };
        let event = WatchEvent { kind, object, ends_initial_events: false };
        let _ = self.0.events.send((plural.to_owned(), event));
    }
}

#[async_trait]
impl Transport for Api {
    async fn call(&self, _: Request) -> Result<Document, Error> {
        Err(Error::Unreachable("this API only lists and watches".into()))
    }

    async fn list(&self, resource: &Resource, _: Option<&str>, _: &ListOptions) -> Result<List, Error> {
        let held = self.0.objects.lock().unwrap();
        let items = held.1.iter().filter(|((plural, _), _)| *plural == resource.plural);
        Ok(List {
            items: items.map(|(_, item)| item.clone()).collect(),
            revision: held.0,
            continue_token: None,
        })
    }

    async fn watch(
        &self,
        resource: &Resource,
        _: Option<&str>,
        _: &ListOptions,
    ) -> Result<WatchStream, Error> {
        let plural = resource.plural.to_string();
        let receiver = self.0.events.subscribe();
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.ok().map(|event| (event, receiver))
        });
        let own = move |(of, event): (String, WatchEvent)| {
            let event = (of == plural).then_some(Ok(event));
            async move { event }
        };
        Ok(events.filter_map(own).boxed())
    }
}

pub fn service(name: &str, cluster_ip: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","namespace":"default"}},
        "spec":{{"clusterIP":"{cluster_ip}","clusterIPs":["{cluster_ip}"],"ports":[{{"port":80,"protocol":"TCP"}}]}}}}"#
    )
}

pub fn slice(service: &str, addresses: &[IpAddr]) -> String {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|ip| format!(r#"{{"addresses":["{ip}"],"conditions":{{"ready":true}}}}"#))
        .collect();
    let endpoints = endpoints.join(",");
    format!(
        r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
        "metadata":{{"name":"{service}-x","namespace":"default","labels":{{"kubernetes.io/service-name":"{service}"}}}},
        "ports":[{{"name":"","port":8080,"protocol":"TCP"}}],"endpoints":[{endpoints}]}}"#
    )
}
