//! Carries out the plan of a PodDisruptionBudget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::value;
use async_trait::async_trait;
use client::{Api, Error, Patch, Transport};
use edge::Edge;
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::Subject;
use super::plan::{Observed, fail_safe, go_selector, needs_scale, plan, selector, stale_in};
use super::scale::{Failure, Scales};
use crate::pods::PodView;

pub(super) struct Budgets {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub budgets: Informer<Whole<PodDisruptionBudget>>,
    pub pods: Informer<PodView>,
    pub scales: Scales,
}

#[async_trait]
impl Reconciler<Subject> for Budgets {
    fn name(&self) -> &'static str {
        "disruption"
    }

    async fn reconcile(&self, subject: &Subject) -> Result<Outcome, Error> {
        match subject {
            Subject::Pod(key) => self.look_at_pod(key).await,
            Subject::Budget(key) => {
                let Some(budget) = self.budgets.get(key) else { return Ok(Outcome::Done) };
                self.look_at_budget(key, &budget.0).await
            }
        }
    }
}

impl Budgets {
    async fn look_at_budget(&self, key: &ObjectKey, budget: &PodDisruptionBudget) -> Result<Outcome, Error> {
        let about = Reference::to(budget);
        let selector = selector(budget);
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| selector.matches(&pod.labels));
        if pods.is_empty() {
            self.recorder.event(&about, EventType::Normal, "NoPods", "No matching pods found");
        }
        let now = self.edge.clock.now();
        let scale = match needs_scale(budget) {
            true => self.scale(key, budget, &about, &pods).await,
            false => Ok(0),
        };
        let scale = match scale {
            Ok(scale) => scale,
            Err(failure) => {
                let why = match &failure {
                    Failure::NoScale(why) => why.clone(),
                    Failure::Api(error) => error.to_string(),
                };
                let message = format!("Failed to calculate the number of expected pods: {why}");
                self.recorder.event(&about, EventType::Warning, "CalculateExpectedPodCountFailed", message);
                self.write_status(budget, fail_safe(budget, &why, now)).await?;
                return match failure {
                    Failure::Api(error) => Err(error),
                    Failure::NoScale(_) => Ok(Outcome::Done),
                };
            }
        };
        let plan = plan(&Observed { budget, pods, scale, now });
        for pod in &plan.not_deleted {
            let message =
                format!("Pod was expected by PDB {0}/{0} to be deleted but it wasn't", key.namespace);
            self.recorder.event(&pod.reference(), EventType::Warning, "NotDeleted", message);
        }
        self.write_status(budget, plan.status).await?;
        Ok(plan.again.map_or(Outcome::Done, Outcome::Again))
    }

    /// What the controllers of the pods want together.
    async fn scale(
        &self,
        key: &ObjectKey,
        budget: &PodDisruptionBudget,
        about: &Reference,
        pods: &[Arc<PodView>],
    ) -> Result<i32, Failure> {
        let mut known = BTreeSet::new();
        let mut unmanaged = false;
        // Several sets of one Deployment are one controller.
        let mut scales = BTreeMap::new();
        for pod in pods {
            let Some(owner) = &pod.controller else {
                unmanaged = true;
                continue;
            };
            if !known.insert(&owner.uid) {
                continue;
            }
            match self.scales.find(&key.namespace, owner).await? {
                Some(scale) => scales.insert(scale.uid, scale.replicas),
                None => {
                    return Err(Failure::NoScale(format!("found no controllers for pod {:?}", pod.name)));
                }
            };
        }
        if unmanaged {
            let shown = go_selector(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {shown}) were found to be unmanaged. \
                 As a result, the status of the PDB cannot be calculated correctly, which may result in \
                 undefined behavior. To account for these pods please set \".spec.minAvailable\" field of \
                 the PDB to an integer value."
            );
            self.recorder.event(about, EventType::Warning, "UnmanagedPods", message);
        }
        Ok(scales.values().sum())
    }

    async fn write_status(
        &self,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<(), Error> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = budget.metadata.namespace.clone().unwrap_or_default();
        let updated = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        let api = Api::<PodDisruptionBudget>::namespaced(self.transport.clone(), namespace);
        // Evictions write here too: a conflict begins anew.
        match api.update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn look_at_pod(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(Outcome::Done) };
        let now = self.edge.clock.now();
        match stale_in(&pod, now) {
            None => Ok(Outcome::Done),
            Some(left) if !left.is_zero() => Ok(Outcome::Again(left)),
            Some(_) => {
                let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let patch = value!({
                    "metadata": {"uid": (pod.uid.as_str())},
                    "status": {"conditions": [{
                        "type": "DisruptionTarget", "status": "False", "reason": null, "message": null,
                        "lastTransitionTime": time
                    }]}
                });
                let api = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
                match api.patch_status(&key.name, Patch::strategic(patch)).await {
                    Err(error) if error.is_not_found() => Ok(Outcome::Done),
                    other => other.map(|_| Outcome::Done),
                }
            }
        }
    }
}
