//! When a request goes. Pure.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::PodCertificateRequest;

use crate::aging::Aged;

/// Every flow of a request ends sooner.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// What of a request tells its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub key: ObjectKey,
    pub uid: String,
    pub created: Timestamp,
}

impl Projection for Request {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

impl Request {
    pub fn of(request: PodCertificateRequest) -> Self {
        Self {
            key: ObjectKey::of(&request.metadata),
            uid: request.metadata.uid.unwrap_or_default(),
            created: request.metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        }
    }
}

impl Aged for Request {
    type Object = PodCertificateRequest;

    fn uid(&self) -> &str {
        &self.uid
    }

    /// Whatever was answered.
    fn due(&self) -> Option<Timestamp> {
        Some(self.created.saturating_add(PATIENCE).unwrap_or(Timestamp::MAX))
    }
}
