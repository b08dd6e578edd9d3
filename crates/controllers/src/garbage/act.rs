//! Asks for objects and owners live, and carries out the plan.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{
    DeleteOptions, Document, Error, Patch, PatchKind, Preconditions, Request, Transport, Verb, WriteOptions,
};
use informer::{EventType, Outcome, Projection, Reconciler, Recorder, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;

use super::graph::{FOREGROUND, Graph, State, Uid};
use super::plan::{Action, Dependent, Observed, OwnerState, plan};
use crate::everything::{Everything, Kind, Node};

/// When a reference of unknown kind is looked at again.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(300);

pub(super) struct Collector {
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub everything: Arc<Everything>,
    pub graph: Arc<Mutex<Graph>>,
}

/// An object as it was just answered.
struct Live {
    kind: Arc<Kind>,
    node: Node,
    revision: u64,
}

#[async_trait]
impl Reconciler<Uid> for Collector {
    fn name(&self) -> &'static str {
        "garbage"
    }

    async fn reconcile(&self, uid: &Uid) -> Result<Outcome, Error> {
        self.consider(*uid).await
    }
}

fn dependents(graph: &Graph, uid: Uid) -> Vec<Dependent> {
    let entries = graph.dependents(uid).into_iter();
    entries
        .map(|(_, entry)| Dependent {
            blocks: entry.owners.iter().any(|(owner, blocks)| *owner == uid && *blocks),
            state: entry.state,
        })
        .collect()
}

impl Collector {
    async fn consider(&self, uid: Uid) -> Result<Outcome, Error> {
        let (entry, dependents) = {
            let graph = self.graph.lock();
            let Some(entry) = graph.entry(uid).cloned() else { return Ok(Outcome::Done) };
            (entry, dependents(&graph, uid))
        };
        let Some(live) = self.get(&entry.kind, &entry.namespace, &entry.name).await? else {
            return Ok(Outcome::Done);
        };
        if Uid::of(&live.node.uid) != uid {
            return Ok(Outcome::Done);
        }
        let mut owners = Vec::new();
        if !live.node.terminating {
            for owner in &live.node.owners {
                if self.graph.lock().is_elsewhere(Uid::of(&owner.uid), &live.node.namespace) {
                    self.tell_elsewhere(&live, owner);
                }
                owners.push((owner.clone(), self.owner_state(&live, owner).await?));
            }
        }
        let observed = Observed {
            finalizers: &live.node.finalizers,
            terminating: live.node.terminating,
            owners: &owners,
            dependents,
        };
        self.carry_out(uid, &live, plan(&observed)).await
    }

    fn request(kind: &Kind, namespace: &str, name: &str, verb: Verb) -> Request {
        Request {
            resource: kind.resource.clone(),
            namespace: kind.namespaced.then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            subresource: None,
            verb,
        }
    }

    async fn get(&self, kind: &Arc<Kind>, namespace: &str, name: &str) -> Result<Option<Live>, Error> {
        let answer: Result<Document, Error> =
            self.transport.call(Self::request(kind, namespace, name, Verb::Get)).await;
        match answer {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(document) => Ok(Some(Live {
                kind: kind.clone(),
                node: Node::project(&document)?,
                revision: document.revision(),
            })),
        }
    }

    async fn owner_state(&self, live: &Live, owner: &OwnerReference) -> Result<OwnerState, Error> {
        let Some(kind) = self.everything.kind_of(&owner.api_version, &owner.kind) else {
            return Ok(OwnerState::Unknown);
        };
        if kind.namespaced && !live.kind.namespaced {
            return Ok(OwnerState::Invalid);
        }
        Ok(match self.get(&kind, &live.node.namespace, &owner.name).await? {
            Some(found) if found.node.uid == owner.uid => {
                match State::of(found.node.terminating, &found.node.finalizers) {
                    State::Foreground => OwnerState::Waiting,
                    _ => OwnerState::Solid,
                }
            }
            _ => OwnerState::Absent,
        })
    }

    /// Its owner is of another namespace, so that it is none.
    fn tell_elsewhere(&self, live: &Live, owner: &OwnerReference) {
        let Live { kind, node, .. } = live;
        let about = Reference {
            api_version: match &*kind.resource.group {
                "" => kind.resource.version.clone(),
                group => format!("{group}/{}", kind.resource.version).into(),
            },
            kind: kind.kind.clone().into(),
            namespace: node.namespace.clone(),
            name: node.name.clone(),
            uid: node.uid.clone(),
            ..Reference::default()
        };
        let message = format!(
            "ownerRef [{}/{}, namespace: {namespace}, name: {}, uid: {}] does not exist in namespace {namespace:?}",
            owner.api_version,
            owner.kind,
            owner.name,
            owner.uid,
            namespace = node.namespace
        );
        self.recorder.event(&about, EventType::Warning, "OwnerRefInvalidNamespace", message);
    }

    async fn carry_out(&self, uid: Uid, live: &Live, action: Action) -> Result<Outcome, Error> {
        match action {
            Action::Nothing => {}
            Action::Later => return Ok(Outcome::Again(UNKNOWN_PAUSE)),
            Action::KeepOwners(owners) => self.set_owners(live, &owners).await?,
            Action::Delete { propagation, unblock } => {
                if unblock {
                    let free = |owner: &OwnerReference| OwnerReference {
                        block_owner_deletion: Some(false),
                        ..owner.clone()
                    };
                    let owners: Vec<_> = live.node.owners.iter().map(free).collect();
                    self.set_owners(live, &owners).await?;
                }
                let revision = (!unblock).then(|| live.revision.to_string());
                let options = DeleteOptions {
                    preconditions: Preconditions {
                        uid: Some(live.node.uid.clone()),
                        resource_version: revision,
                    },
                    propagation: Some(propagation),
                    ..DeleteOptions::default()
                };
                self.call(live, Verb::Delete(options)).await?;
            }
            Action::DeleteDependents => self.delete_dependents(uid).await?,
            Action::FreeDependents => {
                self.free_dependents(uid, &live.node.uid).await?;
                self.remove_finalizer(live, super::graph::ORPHAN).await?;
            }
            Action::RemoveFinalizer(finalizer) => self.remove_finalizer(live, finalizer).await?,
        }
        Ok(Outcome::Done)
    }

    /// Decides on every dependent that is not going yet; their going wakes the
    /// owner again. A living object never decides on others in turn.
    async fn delete_dependents(&self, uid: Uid) -> Result<(), Error> {
        let living: Vec<Uid> = {
            let graph = self.graph.lock();
            let entries = graph.dependents(uid).into_iter();
            entries.filter(|(_, entry)| entry.state == State::Living).map(|(uid, _)| uid).collect()
        };
        for dependent in living {
            Box::pin(self.consider(dependent)).await?;
        }
        Ok(())
    }

    async fn free_dependents(&self, uid: Uid, text: &str) -> Result<(), Error> {
        let entries: Vec<_> = {
            let graph = self.graph.lock();
            graph.dependents(uid).into_iter().map(|(_, entry)| entry.clone()).collect()
        };
        for entry in entries {
            let Some(live) = self.get(&entry.kind, &entry.namespace, &entry.name).await? else { continue };
            let others: Vec<_> = live.node.owners.iter().filter(|owner| owner.uid != text).cloned().collect();
            if others.len() != live.node.owners.len() {
                self.set_owners(&live, &others).await?;
            }
        }
        Ok(())
    }

    async fn set_owners(&self, live: &Live, owners: &[OwnerReference]) -> Result<(), Error> {
        let owners = match owners {
            [] => Value::Null,
            owners => Value::from_serialize(owners).unwrap_or_default(),
        };
        let patch = value!({"metadata": {
            "uid": (live.node.uid.as_str()),
            "resourceVersion": (live.revision.to_string()),
            "ownerReferences": owners
        }});
        self.patch(live, patch).await
    }

    async fn remove_finalizer(&self, live: &Live, finalizer: &str) -> Result<(), Error> {
        debug_assert!([FOREGROUND, super::graph::ORPHAN].contains(&finalizer));
        let left: Vec<&str> =
            live.node.finalizers.iter().map(String::as_str).filter(|known| *known != finalizer).collect();
        let finalizers = match left.as_slice() {
            [] => Value::Null,
            left => Value::from_serialize(left).unwrap_or_default(),
        };
        let patch = value!({"metadata": {
            "resourceVersion": (live.revision.to_string()),
            "finalizers": finalizers
        }});
        self.patch(live, patch).await
    }

    async fn patch(&self, live: &Live, body: Value) -> Result<(), Error> {
        let Patch { kind, body } = Patch::merge(body);
        debug_assert_eq!(kind, PatchKind::Merge);
        self.call(live, Verb::Patch { kind, body, options: WriteOptions::default() }).await
    }

    async fn call(&self, live: &Live, verb: Verb) -> Result<(), Error> {
        let request = Self::request(&live.kind, &live.node.namespace, &live.node.name, verb);
        match self.transport.call(request).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
