//! Writes certificates, and refusals, into the status of requests.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Transport};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::Signer;
use super::plan::{failed, is_due, life, objection};

pub(super) struct Desk {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub requests: Informer<Whole<CertificateSigningRequest>>,
    pub signer: Arc<dyn Signer>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Desk {
    fn name(&self) -> &'static str {
        "csrsigning"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(seen) = self.requests.get(key) else { return Ok(Outcome::Done) };
        if !is_due(&seen.0) {
            return Ok(Outcome::Done);
        }
        let mut request = seen.0.clone();
        let now = self.edge.clock.now();
        let spec = &request.spec;
        let usages = spec.usages.clone().unwrap_or_default();
        let asked = match self.signer.read(&spec.request.0) {
            Ok(asked) => asked,
            Err(why) => {
                tracing::warn!(request = key.name, why, "a certificate request cannot be read");
                return Ok(Outcome::Done);
            }
        };
        let life = life(&request);
        match objection(&spec.signer_name, &asked, &usages) {
            Some(why) => {
                let conditions = &mut request.status.get_or_insert_default().conditions;
                conditions.get_or_insert_default().push(failed(why, now));
            }
            None => match self.signer.sign(&spec.request.0, &usages, life, now) {
                Ok(pem) => request.status.get_or_insert_default().certificate = Some(ByteString(pem)),
                Err(why) => {
                    tracing::warn!(request = key.name, why, "a certificate request cannot be signed");
                    return Ok(Outcome::Done);
                }
            },
        }
        let api = Api::<CertificateSigningRequest>::all(self.transport.clone());
        match api.update_status(&request).await {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            other => other.map(|_| Outcome::Done),
        }
    }
}
