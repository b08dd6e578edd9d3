//! Evicts the pods that the plan names, and tells of it in the rules' status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Queue, Reconciler, Recorder, Whole};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{DeviceTaintRule, ResourceClaim, ResourceSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parking_lot::Mutex;

use super::plan::{Eviction, Observed, STATUS_PAUSE, Told, devices, effects, pause, tell};
use super::{Key, POOL, pool};
use crate::deletions::{self, Metrics};
use crate::pods::PodView;
use crate::resourceclaim;

/// Who writes the rules' status, by upstream's name.
const MANAGER: &str = "device-taint-eviction-controller";
/// What events about evictions are called.
const EVENT: &str = "DeviceTaintManagerEviction";

pub(super) struct Evictions {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub pods: Informer<PodView>,
    pub claims: Informer<Whole<ResourceClaim>>,
    pub slices: Informer<Whole<ResourceSlice>>,
    pub rules: Informer<Whole<DeviceTaintRule>>,
    pub queue: Queue<Key>,
    /// What is ahead of each pod, and the pod's uid.
    pub pending: Mutex<BTreeMap<ObjectKey, (String, Eviction)>>,
    /// How many pods went for each rule, by its uid.
    pub evicted: Mutex<BTreeMap<String, u64>>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<Key> for Evictions {
    fn name(&self) -> &'static str {
        "devicetainteviction"
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        match key {
            Key::Pod(key) => self.pod(key).await,
            Key::Rule(name) => self.rule(name).await,
        }
    }
}

impl Evictions {
    /// What matters to those who use `claims`.
    fn observe(&self, claims: impl Iterator<Item = Arc<Whole<ResourceClaim>>>) -> Observed {
        let claims: BTreeMap<_, _> = claims.map(|claim| (ObjectKey::of(&claim.metadata), claim)).collect();
        let allocated = claims.values().flat_map(|claim| devices(&claim.0));
        let pools: BTreeSet<_> = allocated.map(|device| pool(&device.driver, &device.pool)).collect();
        let slices = pools.iter().flat_map(|pool| self.slices.by_index(POOL, pool)).collect();
        Observed { claims, slices, rules: self.rules.list() }
    }

    async fn pod(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| !pod.terminating) else {
            self.pending.lock().remove(key);
            return Ok(Outcome::Done);
        };
        let claims = resourceclaim::used(&pod)
            .filter_map(|(name, _)| self.claims.get(&ObjectKey::new(key.namespace.clone(), name)));
        let Some(eviction) = self.observe(claims).of_pod(&pod) else {
            let waited = self.pending.lock().remove(key);
            if waited.is_some_and(|(uid, _)| uid == pod.uid) {
                self.recorder.event(&pod.reference(), EventType::Normal, EVENT, "Cancelling deletion");
            }
            return Ok(Outcome::Done);
        };
        let ahead = (pod.uid.clone(), eviction.clone());
        if self.pending.lock().insert(key.clone(), ahead.clone()).as_ref() != Some(&ahead) {
            self.tell_later(&eviction);
        }
        match Duration::try_from(eviction.at.duration_since(self.edge.clock.now())) {
            Ok(left) if !left.is_zero() => return Ok(Outcome::Again(left)),
            _ => {}
        }
        if self.evict(&pod).await? {
            self.metrics.deleted(eviction.at, self.edge.clock.now());
            let mut evicted = self.evicted.lock();
            eviction.rules().for_each(|(_, uid)| *evicted.entry(uid.to_owned()).or_default() += 1);
            drop(evicted);
            self.tell_later(&eviction);
        }
        self.pending.lock().remove(key);
        Ok(Outcome::Done)
    }

    /// The rules say more once the views show it, and not after each pod.
    fn tell_later(&self, eviction: &Eviction) {
        for (name, _) in eviction.rules() {
            self.queue.add_after(Key::Rule(name.to_owned()), STATUS_PAUSE);
        }
    }

    /// False where the pod is gone already, or goes.
    async fn evict(&self, pod: &PodView) -> Result<bool, Error> {
        let api = Api::<Pod>::namespaced(self.transport.clone(), pod.namespace.clone());
        let fresh = api.find(&pod.name).await?;
        let fresh = fresh.filter(|fresh| fresh.metadata.uid.as_deref() == Some(&pod.uid));
        if fresh.is_none_or(|fresh| fresh.metadata.deletion_timestamp.is_some()) {
            return Ok(false);
        }
        self.recorder.event(&pod.reference(), EventType::Normal, EVENT, "Marking for deletion");
        let why = ("DeletionByDeviceTaintManager", "Device Taint manager: deleting due to NoExecute taint");
        deletions::disrupt(&api, &self.edge, (&pod.name, &pod.uid), why).await
    }

    async fn rule(&self, name: &str) -> Result<Outcome, Error> {
        let Some(rule) = self.rules.get(&ObjectKey::cluster(name)) else {
            let rules = self.rules.list();
            let lives = |uid: &String| rules.iter().any(|rule| rule.metadata.uid.as_ref() == Some(uid));
            self.evicted.lock().retain(|uid, _| lives(uid));
            return Ok(Outcome::Done);
        };
        // To count is not for nothing.
        if let Some(left) = pause(&rule.0, self.edge.clock.now()) {
            return Ok(Outcome::Again(left));
        }
        let uid = rule.metadata.uid.clone().unwrap_or_default();
        let evicted = self.evicted.lock().get(&uid).copied().unwrap_or(0);
        let mut observed = self.observe(self.claims.list().into_iter());
        observed.slices = self.slices.list();
        let effects = effects(observed, &self.pods.list(), &rule.0, evicted);
        match tell(&rule.0, &effects, self.edge.clock.now()) {
            Told::Nothing => Ok(Outcome::Done),
            Told::Again(left) => Ok(Outcome::Again(left)),
            Told::Condition(condition) => {
                let api = Api::<DeviceTaintRule>::all(self.transport.clone());
                match api.apply_status(name, status(name, &uid, &condition), MANAGER).await {
                    Err(error) if error.is_not_found() => Ok(Outcome::Done),
                    other => other.map(|_| Outcome::Done),
                }
            }
        }
    }
}

/// The status of a rule as it is applied.
fn status(name: &str, uid: &str, condition: &Condition) -> Value {
    let condition = Value::from_serialize(condition).unwrap_or_default();
    value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceTaintRule",
        "metadata": {"name": name, "uid": uid},
        "status": {"conditions": [condition]}
    })
}
