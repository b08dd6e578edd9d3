//! How many pods a pod's controller wants.

use std::sync::Arc;

use client::{Error, Request, Transport, Verb};
use informer::{Informer, ObjectKey, Whole};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::everything::Everything;

/// A controller and its `spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub uid: String,
    pub replicas: i32,
}

/// Where scales are looked up.
#[derive(Clone)]
pub(super) struct Scales {
    pub transport: Arc<dyn Transport>,
    pub deployments: Informer<Whole<Deployment>>,
    pub replica_sets: Informer<Whole<ReplicaSet>>,
    pub replication_controllers: Informer<Whole<ReplicationController>>,
    pub stateful_sets: Informer<Whole<StatefulSet>>,
    pub everything: Arc<Everything>,
}

/// Why a scale cannot be told.
pub(super) enum Failure {
    /// It never will be.
    NoScale(String),
    Api(Error),
}

impl Scales {
    pub async fn synced(&self) {
        self.deployments.synced().await;
        self.replica_sets.synced().await;
        self.replication_controllers.synced().await;
        self.stateful_sets.synced().await;
        self.everything.synced().await;
    }

    /// The scale of the controller that `owner` means: of a ReplicaSet's
    /// Deployment, if it has one. None where it is gone.
    pub async fn find(&self, namespace: &str, owner: &OwnerReference) -> Result<Option<Scale>, Failure> {
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let key = ObjectKey::new(namespace, owner.name.clone());
        let scale = |metadata: &ObjectMeta, replicas: Option<i32>| {
            let uid = metadata.uid.clone().filter(|uid| *uid == owner.uid)?;
            Some(Scale { uid, replicas: replicas.unwrap_or(1) })
        };
        Ok(match (group, owner.kind.as_str()) {
            ("", "ReplicationController") => self.replication_controllers.get(&key).and_then(|controller| {
                scale(&controller.metadata, controller.spec.as_ref().and_then(|spec| spec.replicas))
            }),
            ("apps", "StatefulSet") => {
                self.stateful_sets.get(&key).and_then(|set| scale(&set.metadata, set.spec.replicas))
            }
            ("apps" | "extensions", "ReplicaSet") => self.of_replica_set(&key, owner),
            _ => return self.of_any(namespace, owner).await,
        })
    }

    fn of_replica_set(&self, key: &ObjectKey, owner: &OwnerReference) -> Option<Scale> {
        let set = self.replica_sets.get(key).filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid))?;
        let above =
            set.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        match above.filter(|above| above.kind == "Deployment") {
            None => Some(Scale { uid: owner.uid.clone(), replicas: set.spec.replicas.unwrap_or(1) }),
            Some(above) => {
                let key = ObjectKey::new(key.namespace.clone(), above.name.clone());
                let deployment = self.deployments.get(&key)?;
                let uid = deployment.metadata.uid.clone().filter(|uid| *uid == above.uid)?;
                Some(Scale { uid, replicas: deployment.spec.replicas.unwrap_or(1) })
            }
        }
    }

    /// By the scale subresource.
    async fn of_any(&self, namespace: &str, owner: &OwnerReference) -> Result<Option<Scale>, Failure> {
        let Some(kind) = self.everything.kind_of(&owner.api_version, &owner.kind) else {
            let (group, version) = owner.api_version.rsplit_once('/').unwrap_or(("", &owner.api_version));
            let kind = if group.is_empty() { owner.kind.clone() } else { format!("{}.{group}", owner.kind) };
            return Err(Failure::NoScale(format!("no matches for kind {kind:?} in version {version:?}")));
        };
        let built_in = api::facts::discovery()
            .iter()
            .any(|fact| fact.group == kind.resource.group && fact.resource == kind.resource.plural);
        if built_in {
            let dot = if kind.resource.group.is_empty() { "" } else { "." };
            let resource = format!("{}{dot}{}", kind.resource.plural, kind.resource.group);
            return Err(Failure::NoScale(format!("{resource} does not implement the scale subresource")));
        }
        let request = Request {
            resource: kind.resource.clone(),
            namespace: Some(namespace.to_owned()),
            name: Some(owner.name.clone()),
            subresource: Some("scale".into()),
            verb: Verb::Get,
        };
        let found = match self.transport.call(request).await {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found.and_then(|document| document.tree()).map_err(Failure::Api)?,
        };
        let uid = found["metadata"]["uid"].text().to_owned();
        let replicas = i32::try_from(found["spec"]["replicas"].as_i64().unwrap_or(0)).unwrap_or(i32::MAX);
        Ok(Some(Scale { uid, replicas }).filter(|scale| scale.uid == owner.uid))
    }
}
