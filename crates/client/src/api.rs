//! Typed access to one resource.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use apimachinery::Value;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    DeleteOptions, Error, ListOptions, PatchKind, Request, Resource, Transport, Verb, WatchKind, WriteOptions,
};

/// What a typed view must be able to do.
pub trait Object:
    k8s_openapi::Resource + Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync
{
}
impl<K> Object for K where
    K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync
{
}

/// A patch with its kind.
#[derive(Clone, Debug)]
pub struct Patch {
    pub kind: PatchKind,
    pub body: Value,
}

impl Patch {
    pub fn merge(body: Value) -> Self {
        Self { kind: PatchKind::Merge, body }
    }

    pub fn strategic(body: Value) -> Self {
        Self { kind: PatchKind::Strategic, body }
    }
}

/// The objects of kind `K` in one namespace, in all, or in none (cluster-scoped kinds).
pub struct Api<K> {
    transport: Arc<dyn Transport>,
    namespace: Option<String>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self { transport: self.transport.clone(), namespace: self.namespace.clone(), kind: PhantomData }
    }
}

impl<K: Object> Api<K> {
    /// Cluster-scoped objects, or those of all namespaces to list and watch.
    pub fn all(transport: Arc<dyn Transport>) -> Self {
        Self { transport, namespace: None, kind: PhantomData }
    }

    pub fn namespaced(transport: Arc<dyn Transport>, namespace: impl Into<String>) -> Self {
        Self { transport, namespace: Some(namespace.into()), kind: PhantomData }
    }

    async fn call<T>(
        &self,
        name: Option<&str>,
        subresource: Option<Cow<'static, str>>,
        verb: Verb,
        decode: impl FnOnce(crate::Document) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request = Request {
            resource: Resource::of::<K>(),
            namespace: self.namespace.clone(),
            name: name.map(str::to_owned),
            subresource,
            verb,
        };
        decode(self.transport.call(request).await?)
    }

    pub async fn get(&self, name: &str) -> Result<K, Error> {
        self.call(Some(name), None, Verb::Get, |document| document.decode()).await
    }

    /// As [`Api::get`], with None for an object that is not there.
    pub async fn find(&self, name: &str) -> Result<Option<K>, Error> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects that `options` selects, and the revision of the snapshot.
    pub async fn list(&self, options: &ListOptions) -> Result<(Vec<K>, u64), Error> {
        let list = self.transport.list(&Resource::of::<K>(), self.namespace.as_deref(), options).await?;
        let items = list.items.iter().map(crate::Document::decode).collect::<Result<_, _>>()?;
        Ok((items, list.revision))
    }

    /// Changes as typed objects; bookmarks are left out.
    pub async fn watch(
        &self,
        options: &ListOptions,
    ) -> Result<BoxStream<'static, Result<(WatchKind, K), Error>>, Error>
    where
        K: 'static,
    {
        let events = self.transport.watch(&Resource::of::<K>(), self.namespace.as_deref(), options).await?;
        Ok(events
            .try_filter_map(|event| async move {
                match event.kind {
                    WatchKind::Bookmark => Ok(None),
                    kind => Ok(Some((kind, event.object.decode()?))),
                }
            })
            .boxed())
    }

    pub async fn create(&self, object: &K) -> Result<K, Error> {
        let verb = Verb::Create { object: tree(object)?, options: WriteOptions::default() };
        self.call(None, None, verb, |document| document.decode()).await
    }

    /// Replaces the object; its resourceVersion, where set, must still hold.
    pub async fn update(&self, object: &K) -> Result<K, Error> {
        let verb = Verb::Update { object: tree(object)?, options: WriteOptions::default() };
        self.call(object.metadata().name.as_deref(), None, verb, |document| document.decode()).await
    }

    /// Replaces the object's status.
    pub async fn update_status(&self, object: &K) -> Result<K, Error> {
        let verb = Verb::Update { object: tree(object)?, options: WriteOptions::default() };
        let name = object.metadata().name.as_deref();
        self.call(name, Some(Cow::Borrowed("status")), verb, |document| document.decode()).await
    }

    pub async fn patch(&self, name: &str, patch: Patch) -> Result<K, Error> {
        self.call(Some(name), None, patch.verb(), |document| document.decode()).await
    }

    /// Server-side apply by `manager`, who takes the fields from whoever has them.
    pub async fn apply(&self, name: &str, body: Value, manager: &str) -> Result<K, Error> {
        let options = WriteOptions { field_manager: Some(manager.to_owned()), ..WriteOptions::default() };
        let verb = Verb::Patch { kind: PatchKind::Apply { force: true }, body, options };
        self.call(Some(name), None, verb, |document| document.decode()).await
    }

    /// As [`Api::apply`], of the object's status.
    pub async fn apply_status(&self, name: &str, body: Value, manager: &str) -> Result<K, Error> {
        let options = WriteOptions { field_manager: Some(manager.to_owned()), ..WriteOptions::default() };
        let verb = Verb::Patch { kind: PatchKind::Apply { force: true }, body, options };
        self.call(Some(name), Some(Cow::Borrowed("status")), verb, |document| document.decode()).await
    }

    pub async fn patch_status(&self, name: &str, patch: Patch) -> Result<K, Error> {
        self.call(Some(name), Some(Cow::Borrowed("status")), patch.verb(), |document| document.decode()).await
    }

    /// Deletes the object, or asks for it where something must happen first.
    pub async fn delete(&self, name: &str, options: DeleteOptions) -> Result<(), Error> {
        self.call(Some(name), None, Verb::Delete(options), |_| Ok(())).await
    }

    /// Creates a subresource such as `binding`, `eviction` or `token`, and
    /// decodes what the server makes of it.
    pub async fn create_subresource<B: Serialize, A: DeserializeOwned>(
        &self,
        name: &str,
        subresource: &'static str,
        body: &B,
    ) -> Result<A, Error> {
        let verb = Verb::Create { object: tree(body)?, options: WriteOptions::default() };
        self.call(Some(name), Some(Cow::Borrowed(subresource)), verb, |document| document.decode_part()).await
    }
}

impl Patch {
    fn verb(self) -> Verb {
        Verb::Patch { kind: self.kind, body: self.body, options: WriteOptions::default() }
    }
}

fn tree<T: Serialize>(object: &T) -> Result<Value, Error> {
    Value::from_serialize(object).map_err(|error| Error::Decode(Arc::from(error.to_string())))
}
