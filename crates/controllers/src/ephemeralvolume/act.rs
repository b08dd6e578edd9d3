//! Creates the claims.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use informer::{EventType, Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::metrics::Metrics;
use super::plan::{Step, plan};
use crate::pods::PodView;
use crate::volume_claims::{ClaimView, ephemeral_claim};

/// By then the view shows a claim that is there.
const MOMENT: Duration = Duration::from_secs(1);

pub(super) struct Claims {
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub pods: Informer<PodView>,
    pub claims: Informer<ClaimView>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for Claims {
    fn name(&self) -> &'static str {
        "ephemeralvolume"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        if self.pods.get(key).is_none() {
            return Ok(Outcome::Done);
        }
        let pods = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
        let Some(pod) = pods.find(&key.name).await? else { return Ok(Outcome::Done) };
        let seen = |name: &str| self.claims.get(&ObjectKey::new(key.namespace.clone(), name));
        let api = Api::<PersistentVolumeClaim>::namespaced(self.transport.clone(), key.namespace.clone());
        let mut again = Outcome::Done;
        for Step { volume, claim } in plan(&pod, seen) {
            let error = match claim {
                // Nothing but the end of the other claim helps, and its end brings the key back.
                Err(why) => {
                    self.tell(&pod, &volume, &why);
                    return Ok(Outcome::Done);
                }
                Ok(claim) => match api.create(&claim).await.inspect_err(|_| self.metrics.asked(true)) {
                    Ok(_) => {
                        self.metrics.asked(false);
                        continue;
                    }
                    // The view shows in a moment whose it is.
                    Err(error) if error.is_already_exists() => {
                        again = Outcome::Again(MOMENT);
                        continue;
                    }
                    Err(error) if crate::namespace_ends(&error) => continue,
                    Err(error) => error,
                },
            };
            let claim = ephemeral_claim(&key.name, &volume);
            self.tell(&pod, &volume, &format!("create PVC {claim}: {error}"));
            return Err(error);
        }
        Ok(again)
    }
}

impl Claims {
    fn tell(&self, pod: &Pod, volume: &str, why: &str) {
        let message = format!("ephemeral volume {volume}: {why}");
        self.recorder.event(&Reference::to(pod), EventType::Warning, "FailedBinding", message);
    }
}
