//! Deletes what is in a namespace, resource by resource.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use async_trait::async_trait;
use client::{
    Api, DeleteOptions, Error, ListOptions, Propagation, Request, Resource, Transport, Verb, WriteOptions,
};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Projection, Reconciler, Whole};
use k8s_openapi::api::core::v1::Namespace;

use super::plan::{Action, Observed, Remaining, plan};
use crate::everything::{Everything, Kind, Node};
use crate::serviceaccount::is_active;

pub(super) struct Namespaces {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub namespaces: Informer<Whole<Namespace>>,
    pub everything: Arc<Everything>,
}

#[async_trait]
impl Reconciler<String> for Namespaces {
    fn name(&self) -> &'static str {
        "namespace"
    }

    async fn reconcile(&self, name: &String) -> Result<Outcome, Error> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::cluster(name.clone())) else {
            return Ok(Outcome::Done);
        };
        if is_active(&namespace.0) {
            return Ok(Outcome::Done);
        }
        let held =
            namespace.spec.as_ref().is_some_and(|spec| spec.finalizers.iter().flatten().next().is_some());
        let (mut remaining, mut failures, mut last) = (Vec::new(), Vec::new(), None);
        if held {
            for stage in self.stages() {
                for kind in stage {
                    match self.empty(name, &kind).await {
                        Ok(left) => remaining.extend(left),
                        Err(error) => {
                            failures.push(error.to_string());
                            last = Some(error);
                        }
                    }
                }
                // Pods go first: they may need what is deleted after them.
                if !remaining.is_empty() || last.is_some() {
                    break;
                }
            }
        }
        let observed = Observed { namespace: &namespace.0, remaining, failures, now: self.edge.clock.now() };
        self.carry_out(&namespace.0, plan(&observed)).await?;
        last.map_or(Ok(Outcome::Done), Err)
    }
}

impl Namespaces {
    /// Pods, then everything else.
    fn stages(&self) -> [Vec<Arc<Kind>>; 2] {
        let mut kinds = self.everything.kinds();
        kinds.retain(|kind| kind.namespaced);
        let pods = |kind: &Arc<Kind>| kind.resource.group.is_empty() && kind.resource.plural == "pods";
        let (first, mut rest): (Vec<_>, Vec<_>) = kinds.into_iter().partition(pods);
        rest.push(Arc::new(Kind {
            resource: Resource::new("", "v1", "events"),
            kind: "Event".into(),
            namespaced: true,
            collection: true,
        }));
        [first, rest]
    }

    /// Deletes all objects of a kind and tells what is still there.
    async fn empty(&self, namespace: &str, kind: &Kind) -> Result<Option<Remaining>, Error> {
        let objects = self.list(namespace, kind).await?;
        if objects.iter().all(|object| object.terminating) {
            return Ok(remaining(kind, &objects));
        }
        let delete = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        if kind.collection {
            let verb = Verb::DeleteCollection { list: ListOptions::default(), delete };
            self.call(namespace, kind, None, verb).await?;
        } else {
            for object in objects.iter().filter(|object| !object.terminating) {
                self.call(namespace, kind, Some(object.name.clone()), Verb::Delete(delete.clone())).await?;
            }
        }
        Ok(remaining(kind, &self.list(namespace, kind).await?))
    }

    async fn call(
        &self,
        namespace: &str,
        kind: &Kind,
        name: Option<String>,
        verb: Verb,
    ) -> Result<(), Error> {
        let request = Request {
            resource: kind.resource.clone(),
            namespace: Some(namespace.to_owned()),
            name,
            subresource: None,
            verb,
        };
        match self.transport.call(request).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn list(&self, namespace: &str, kind: &Kind) -> Result<Vec<Node>, Error> {
        let list = self.transport.list(&kind.resource, Some(namespace), &ListOptions::default()).await;
        match list {
            Ok(list) => list.items.iter().map(Node::project).collect(),
            // A kind that is not served (any more) has no objects.
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn carry_out(&self, namespace: &Namespace, action: Action) -> Result<(), Error> {
        let api = Api::<Namespace>::all(self.transport.clone());
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let result = match action {
            Action::Wait => Ok(()),
            Action::Status(status) => {
                let updated = Namespace { status: Some(*status), ..namespace.clone() };
                api.update_status(&updated).await.map(drop)
            }
            Action::Finalize(finalizers) => {
                let mut updated = namespace.clone();
                updated.spec.get_or_insert_default().finalizers = Some(finalizers);
                let object = Value::from_serialize(&updated)
                    .map_err(|error| Error::Decode(Arc::from(error.to_string())))?;
                let request = Request {
                    resource: Resource::of::<Namespace>(),
                    namespace: None,
                    name: Some(name),
                    subresource: Some(Cow::Borrowed("finalize")),
                    verb: Verb::Update { object, options: WriteOptions::default() },
                };
                self.transport.call(request).await.map(drop)
            }
            Action::Delete => {
                let uid = namespace.metadata.uid.clone().unwrap_or_default();
                api.delete(&name, DeleteOptions::uid(uid)).await
            }
        };
        match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

fn remaining(kind: &Kind, objects: &[Node]) -> Option<Remaining> {
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for finalizer in objects.iter().flat_map(|object| &object.finalizers) {
        *finalizers.entry(finalizer.clone()).or_default() += 1;
    }
    (!objects.is_empty()).then(|| Remaining {
        resource: format!("{}.{}", kind.resource.plural, kind.resource.group),
        objects: objects.len(),
        finalizers,
    })
}
