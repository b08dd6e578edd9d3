//! Requests in short.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Value;
use client::{DeleteOptions, Error, ListOptions, Patch, Request, Resource, Transport, Verb, WriteOptions};

/// A user's way to an API server. Namespaces of cluster-scoped objects are "".
#[derive(Clone)]
pub struct Client(pub Arc<dyn Transport>);

impl Client {
    async fn call(
        &self,
        resource: &Resource,
        namespace: &str,
        name: Option<&str>,
        subresource: Option<&'static str>,
        verb: Verb,
    ) -> Result<Value, Error> {
        let request = Request {
            resource: resource.clone(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: name.map(str::to_owned),
            subresource: subresource.map(Into::into),
            verb,
        };
        self.0.call(request).await?.tree()
    }

    pub async fn create(&self, resource: &Resource, namespace: &str, object: Value) -> Result<Value, Error> {
        let verb = Verb::Create { object, options: WriteOptions::default() };
        self.call(resource, namespace, None, None, verb).await
    }

    pub async fn create_in(
        &self,
        resource: &Resource,
        (namespace, name): (&str, &str),
        subresource: &'static str,
        object: Value,
    ) -> Result<Value, Error> {
        let verb = Verb::Create { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(name), Some(subresource), verb).await
    }

    pub async fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
        self.call(resource, namespace, Some(name), None, Verb::Get).await
    }

    pub async fn update(&self, resource: &Resource, namespace: &str, object: Value) -> Result<Value, Error> {
        let name = object["metadata"]["name"].text().to_owned();
        let verb = Verb::Update { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(&name), None, verb).await
    }

    pub async fn update_in(
        &self,
        resource: &Resource,
        (namespace, name): (&str, &str),
        subresource: &'static str,
        object: Value,
    ) -> Result<Value, Error> {
        let verb = Verb::Update { object, options: WriteOptions::default() };
        self.call(resource, namespace, Some(name), Some(subresource), verb).await
    }

    /// A strategic merge patch.
    pub async fn patch(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Option<&'static str>,
        body: Value,
    ) -> Result<Value, Error> {
        let Patch { kind, body } = Patch::strategic(body);
        let verb = Verb::Patch { kind, body, options: WriteOptions::default() };
        self.call(resource, namespace, Some(name), subresource, verb).await
    }

    pub async fn delete(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
        self.delete_with(resource, namespace, name, DeleteOptions::default()).await
    }

    pub async fn delete_with(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: DeleteOptions,
    ) -> Result<Value, Error> {
        self.call(resource, namespace, Some(name), None, Verb::Delete(options)).await
    }

    pub async fn list(&self, resource: &Resource, namespace: &str) -> Vec<Value> {
        let list = self.0.list(resource, Some(namespace), &ListOptions::default()).await.expect("a list");
        list.items.iter().map(|item| item.tree().expect("an object")).collect()
    }

    /// Waits, in pretended time, until `holds`.
    pub async fn eventually<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        for _ in 0..600 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("after five minutes still not: {what}");
    }
}
