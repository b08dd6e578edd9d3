//! Carries out the plan of a Deployment.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Patch, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::plan::{Action, Observed, plan};
use super::status::{Creation, differs, status};
use crate::claims::{self, Claim};
use crate::context::OWNER;
use crate::pods::PodView;

pub(super) struct Deployments {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub deployments: Informer<Whole<Deployment>>,
    pub sets: Informer<Whole<ReplicaSet>>,
    pub pods: Informer<PodView>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(Outcome::Done) };
        let sets = self.claim(key, &deployment.0).await?;
        let sets_with_pods: Vec<_> = sets
            .iter()
            .filter(|set| {
                let pods = self.pods.by_index(OWNER, set.metadata.uid.as_deref().unwrap_or_default());
                pods.iter().any(|pod| !pod.has_ended())
            })
            .filter_map(|set| set.metadata.name.as_deref())
            .collect();
        let observed = Observed {
            deployment: &deployment.0,
            sets: sets.iter().map(|set| &set.0).collect(),
            sets_with_pods,
            now: self.edge.clock.now(),
        };
        let mut creation = Creation::None;
        let mut result = Ok(());
        // As it is after what is done here: its status is written with the rest of it.
        let mut latest = Cow::Borrowed(&deployment.0);
        for action in plan(&observed) {
            result = self.carry_out(key, &mut latest, &sets, &action).await;
            if let Action::CreateSet(set) = &action {
                creation = match &result {
                    Ok(()) => Creation::Created(set.metadata.name.clone().unwrap_or_default()),
                    Err(error) => Creation::Failed(error.to_string()),
                };
            }
            if result.is_err() {
                break;
            }
        }
        let (status, again) = status(&Observed { deployment: &latest, ..observed }, &creation);
        self.write_status(key, &latest, status).await?;
        result.map(|()| again.map_or(Outcome::Done, Outcome::Again))
    }
}

impl Deployments {
    fn sets_api(&self, key: &ObjectKey) -> Api<ReplicaSet> {
        Api::namespaced(self.transport.clone(), key.namespace.clone())
    }

    /// The sets of the Deployment, after adoption and release.
    async fn claim(
        &self,
        key: &ObjectKey,
        deployment: &Deployment,
    ) -> Result<Vec<Arc<Whole<ReplicaSet>>>, Error> {
        let candidates = self.sets.namespace(&key.namespace);
        let owner = claims::Owner::of(deployment, Some(&deployment.spec.selector));
        let mut owned = Vec::new();
        for set in candidates {
            match owner.claim(&set.metadata) {
                Claim::Owned => owned.push(set),
                Claim::Adopt => {
                    // The informer shows the set as owned in a moment.
                    owner.adopt(&self.sets_api(key), &set.metadata).await?;
                }
                Claim::Release => owner.release(&self.sets_api(key), &set.metadata).await?,
                Claim::Ignore => {}
            }
        }
        Ok(owned)
    }

    async fn carry_out(
        &self,
        key: &ObjectKey,
        latest: &mut Cow<'_, Deployment>,
        sets: &[Arc<Whole<ReplicaSet>>],
        action: &Action,
    ) -> Result<(), Error> {
        let api = self.sets_api(key);
        let deployment = &**latest;
        let about = Reference::to(deployment);
        match action {
            Action::CreateSet(set) => match api.create(set).await {
                Ok(created) => {
                    let name = created.metadata.name.clone().unwrap_or_default();
                    let to = created.spec.replicas.unwrap_or(0);
                    if to > 0 {
                        let message = format!("Scaled up replica set {name} from 0 to {to}");
                        self.recorder.event(&about, EventType::Normal, "ScalingReplicaSet", message);
                    }
                    Ok(())
                }
                Err(error) if error.is_already_exists() => self.collision(key, deployment, set).await,
                Err(error) => {
                    let message = format!(
                        "Failed to create new replica set {:?}: {error}",
                        set.metadata.name.as_deref().unwrap_or("")
                    );
                    self.recorder.event(&about, EventType::Warning, "ReplicaSetCreateError", message);
                    Err(error)
                }
            },
            Action::Scale { set, from, to, annotations } => {
                let known = sets.iter().find(|known| known.metadata.name.as_deref() == Some(set));
                let revision =
                    known.and_then(|known| known.metadata.resource_version.clone()).unwrap_or_default();
                // The size was decided on this revision and no other.
                let patch = value!({
                    "metadata": {"resourceVersion": revision, "annotations": (strings(annotations))},
                    "spec": {"replicas": (*to)}
                });
                api.patch(set, Patch::merge(patch)).await?;
                if from != to {
                    let word = if to > from { "up" } else { "down" };
                    let message = format!("Scaled {word} replica set {set} from {from} to {to}");
                    self.recorder.event(&about, EventType::Normal, "ScalingReplicaSet", message);
                }
                Ok(())
            }
            Action::Refresh { set, annotations, min_ready_seconds } => {
                let patch = value!({
                    "metadata": {"annotations": (strings(annotations))},
                    "spec": {"minReadySeconds": (*min_ready_seconds)}
                });
                api.patch(set, Patch::merge(patch)).await.map(drop)
            }
            Action::Revision(revision) => {
                // The role may update Deployments and not patch them.
                let mut updated = deployment.clone();
                let annotations = updated.metadata.annotations.get_or_insert_default();
                annotations.insert(super::plan::REVISION.to_owned(), revision.clone());
                let api = Api::<Deployment>::namespaced(self.transport.clone(), key.namespace.clone());
                *latest = Cow::Owned(api.update(&updated).await?);
                Ok(())
            }
            Action::DeleteSet { set, uid } => match api.delete(set, DeleteOptions::uid(uid.clone())).await {
                Err(error) if error.is_not_found() => Ok(()),
                other => other,
            },
        }
    }

    /// A set of the wanted name is there. Where it is the wanted one, the
    /// informer will show it; any other has the same hash by chance.
    async fn collision(
        &self,
        key: &ObjectKey,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> Result<(), Error> {
        let name = set.metadata.name.clone().unwrap_or_default();
        let Some(existing) = self.sets_api(key).find(&name).await? else { return Ok(()) };
        let uid = deployment.metadata.uid.as_deref();
        let owners = existing.metadata.owner_references.iter().flatten();
        let ours =
            owners.into_iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid);
        let template = |set: &ReplicaSet| set.spec.template.clone();
        if ours && template(&existing) == template(set) {
            return Ok(());
        }
        let mut status = deployment.status.clone().unwrap_or_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        self.write_status(key, deployment, status).await
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        deployment: &Deployment,
        status: k8s_openapi::api::apps::v1::DeploymentStatus,
    ) -> Result<(), Error> {
        if !differs(deployment, &status) {
            return Ok(());
        }
        // Annotations come with a status: nobody's may be lost by it.
        let updated = Deployment { status: Some(status), ..deployment.clone() };
        let api = Api::<Deployment>::namespaced(self.transport.clone(), key.namespace.clone());
        match api.update_status(&updated).await {
            // The informer is about to show what came between.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}

fn strings(map: &std::collections::BTreeMap<String, String>) -> Value {
    Value::Object(map.iter().map(|(key, value)| (key.clone().into(), Value::from(value))).collect())
}
