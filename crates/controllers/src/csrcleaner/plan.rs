//! When a request goes. Pure.

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::aging::Aged;

/// After an answer that is final.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);
/// Without one.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

/// What of a request tells its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    pub issued: bool,
    /// Type and time of each condition.
    pub conditions: Vec<(String, Option<Timestamp>)>,
}

impl Projection for Request {
    fn project(document: &Document) -> Result<Self, Error> {
        document.decode().map(Self::of)
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

impl Request {
    pub fn of(request: CertificateSigningRequest) -> Self {
        let status = request.status.unwrap_or_default();
        let conditions = status.conditions.into_iter().flatten();
        Self {
            name: request.metadata.name.unwrap_or_default(),
            uid: request.metadata.uid.unwrap_or_default(),
            created: request.metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            issued: status.certificate.is_some_and(|certificate| !certificate.0.is_empty()),
            conditions: conditions.map(|one| (one.type_, one.last_update_time.map(|time| time.0))).collect(),
        }
    }
}

impl Aged for Request {
    type Object = CertificateSigningRequest;

    fn uid(&self) -> &str {
        &self.uid
    }

    fn due(&self) -> Option<Timestamp> {
        if self.conditions.is_empty() {
            return Some(self.created + PENDING);
        }
        let of = |(kind, at): &(String, Option<Timestamp>)| {
            let patience = match kind.as_str() {
                "Approved" if !self.issued => PENDING,
                "Approved" | "Denied" | "Failed" => ANSWERED,
                _ => return None,
            };
            at.map(|at| at + patience)
        };
        self.conditions.iter().filter_map(of).min()
    }
}
