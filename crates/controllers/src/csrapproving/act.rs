//! Asks for the rights, and approves.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, Error, Request, Resource, Transport, Verb, WriteOptions};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::plan::{Right, approval, plan};
use crate::csrsigning::Signer;

pub(super) struct Approver {
    pub transport: Arc<dyn Transport>,
    pub requests: Informer<Whole<CertificateSigningRequest>>,
    pub signer: Arc<dyn Signer>,
}

#[async_trait]
impl Reconciler<ObjectKey> for Approver {
    fn name(&self) -> &'static str {
        "csrapproving"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(request) = self.requests.get(key) else { return Ok(Outcome::Done) };
        let asked = match self.signer.read(&request.spec.request.0) {
            Ok(asked) => asked,
            Err(why) => {
                tracing::warn!(request = key.name, why, "a certificate request cannot be read");
                return Ok(Outcome::Done);
            }
        };
        for right in plan(&request.0, &asked) {
            if self.is_allowed(&request.0, right).await? {
                return self.approve(&request.0, right).await.map(|()| Outcome::Done);
            }
        }
        Ok(Outcome::Done)
    }
}

impl Approver {
    async fn is_allowed(&self, request: &CertificateSigningRequest, right: Right) -> Result<bool, Error> {
        let text = |text: &str| Some(text.to_owned());
        let spec = &request.spec;
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: text("certificates.k8s.io"),
                    resource: text("certificatesigningrequests"),
                    verb: text("create"),
                    subresource: text(right.subresource),
                    version: text("*"),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let answer = Api::<SubjectAccessReview>::all(self.transport.clone()).create(&review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn approve(&self, request: &CertificateSigningRequest, right: Right) -> Result<(), Error> {
        let mut approved = request.clone();
        let status = approved.status.get_or_insert_default();
        status.conditions.get_or_insert_default().push(approval(right));
        let tree = apimachinery::Value::from_serialize(&approved);
        let object = tree.map_err(|error| Error::Decode(error.to_string().into()))?;
        let request = Request {
            resource: Resource::of::<CertificateSigningRequest>(),
            namespace: None,
            name: approved.metadata.name,
            subresource: Some("approval".into()),
            verb: Verb::Update { object, options: WriteOptions::default() },
        };
        match self.transport.call(request).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
