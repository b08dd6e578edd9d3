//! When a request goes. Pure.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::PodCertificateRequest;

/// Every flow of a request ends sooner.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// What of a request tells its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aged {
    pub key: ObjectKey,
    pub uid: String,
    pub created: Timestamp,
}

impl Projection for Aged {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

impl Aged {
    pub fn of(request: PodCertificateRequest) -> Self {
        Self {
            key: ObjectKey::of(&request.metadata),
            uid: request.metadata.uid.unwrap_or_default(),
            created: request.metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        }
    }
}

/// When the request is to be deleted, whatever was answered.
pub fn due(request: &Aged) -> Timestamp {
    request.created.saturating_add(PATIENCE).unwrap_or(Timestamp::MAX)
}
