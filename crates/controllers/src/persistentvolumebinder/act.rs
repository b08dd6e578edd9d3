//! Writes what the plan says.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Key;
use super::plan::{About, ClaimSeen, Plan, Write, plan_claim, plan_volume};
use crate::pods::PodView;

pub(super) struct Binder {
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub volumes: Informer<Whole<PersistentVolume>>,
    pub claims: Informer<Whole<PersistentVolumeClaim>>,
    pub classes: Informer<Whole<StorageClass>>,
    pub pods: Informer<PodView>,
}

#[async_trait]
impl Reconciler<Key> for Binder {
    fn name(&self) -> &'static str {
        "persistentvolumebinder"
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        match key {
            Key::Claim(key) => self.claim(key).await?,
            Key::Volume(name) => self.volume(name).await?,
        }
        Ok(Outcome::Done)
    }
}

impl Binder {
    fn claims_api(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.transport.clone(), namespace)
    }

    async fn claim(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let (volumes, classes) = (self.volumes.list(), self.classes.list());
        let pods = self.pods.namespace(&key.namespace);
        let uses = |pod: &&Arc<PodView>| {
            pod.node.is_empty() && !pod.has_ended() && pod.claims.iter().any(|(_, name)| *name == key.name)
        };
        let seen = ClaimSeen {
            claim: &claim.0,
            volumes: volumes.iter().map(|volume| &volume.0).collect(),
            classes: classes.iter().map(|class| &class.0).collect(),
            waiting_pods: pods.iter().filter(uses).map(|pod| pod.name.clone()).collect(),
        };
        let plan = plan_claim(&seen);
        self.carry_out(plan, Some(Reference::to(&claim.0)), None).await
    }

    async fn volume(&self, name: &str) -> Result<(), Error> {
        let Some(volume) = self.volumes.get(&ObjectKey::cluster(name)) else { return Ok(()) };
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
        let (namespace, name) = (reference.namespace.unwrap_or_default(), reference.name.unwrap_or_default());
        let seen = self.claims.get(&ObjectKey::new(namespace.clone(), name.clone()));
        let claim = match seen {
            Some(claim) if claim.metadata.uid == reference.uid => Some(claim.0.clone()),
            // The view may be behind: a volume is not given up on its word.
            _ if reference.uid.is_some() => self.claims_api(&namespace).find(&name).await?,
            _ => None,
        };
        let plan = plan_volume(&volume.0, claim.as_ref());
        self.carry_out(plan, claim.as_ref().map(Reference::to), Some(Reference::to(&volume.0))).await
    }

    /// Each write is of what the one before left: nothing that a user changed
    /// since then is written over.
    async fn write(&self, writes: Vec<Write>) -> Result<(), Error> {
        let volumes = Api::<PersistentVolume>::all(self.transport.clone());
        let (mut of_volume, mut of_claim) = (None, None);
        for write in writes {
            match write {
                Write::Volume(mut volume) => {
                    follow(&mut volume.metadata, &of_volume);
                    of_volume = volumes.update(&volume).await?.metadata.resource_version;
                }
                Write::VolumeStatus(mut volume) => {
                    follow(&mut volume.metadata, &of_volume);
                    of_volume = volumes.update_status(&volume).await?.metadata.resource_version;
                }
                Write::Claim(mut claim) => {
                    follow(&mut claim.metadata, &of_claim);
                    of_claim = self.of(&claim).update(&claim).await?.metadata.resource_version;
                }
                Write::ClaimStatus(mut claim) => {
                    follow(&mut claim.metadata, &of_claim);
                    of_claim = self.of(&claim).update_status(&claim).await?.metadata.resource_version;
                }
            }
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        plan: Plan,
        claim: Option<Reference>,
        volume: Option<Reference>,
    ) -> Result<(), Error> {
        match self.write(plan.writes).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        }
        for (about, kind, reason, message) in plan.events {
            let about = match about {
                About::Claim => &claim,
                About::Volume => &volume,
            };
            if let Some(about) = about {
                self.recorder.event(about, kind, reason, message);
            }
        }
        Ok(())
    }

    fn of(&self, claim: &PersistentVolumeClaim) -> Api<PersistentVolumeClaim> {
        self.claims_api(claim.metadata.namespace.as_deref().unwrap_or(""))
    }
}

/// Takes the revision that an earlier write left.
fn follow(metadata: &mut ObjectMeta, left: &Option<String>) {
    if left.is_some() {
        metadata.resource_version.clone_from(left);
    }
}
