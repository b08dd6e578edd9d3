//! When a Job's time is over. Pure.

use std::time::Duration;

use client::{Document, Error};
use informer::{ObjectKey, Projection};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

/// What of a Job tells its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    pub key: ObjectKey,
    pub uid: String,
    pub terminating: bool,
    /// Seconds after the end.
    pub ttl: Option<i32>,
    /// When it completed or failed.
    pub at: Option<Timestamp>,
}

impl Projection for Finished {
    fn project(document: &Document) -> Result<Self, Error> {
        Ok(Self::of(&document.decode()?))
    }

    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
}

impl Finished {
    pub fn of(job: &Job) -> Self {
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ends = conditions.filter(|condition| {
            ["Complete", "Failed"].contains(&condition.type_.as_str()) && condition.status == "True"
        });
        Self {
            key: ObjectKey::of(&job.metadata),
            uid: job.metadata.uid.clone().unwrap_or_default(),
            terminating: job.metadata.deletion_timestamp.is_some(),
            ttl: job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished),
            at: ends.next().and_then(|end| end.last_transition_time.as_ref()).map(|time| time.0),
        }
    }
}

#[derive(Debug, PartialEq)]
pub enum Action {
    Nothing,
    Delete,
    Again(Duration),
}

/// When a Job's time is over.
pub fn due(job: &Finished) -> Option<Timestamp> {
    let (ttl, at) = (job.ttl?, job.at?);
    Some(at.saturating_add(SignedDuration::from_secs(ttl.into())).unwrap_or(Timestamp::MAX))
}

pub fn plan(job: &Finished, now: Timestamp) -> Action {
    let Some(due) = due(job).filter(|_| !job.terminating) else { return Action::Nothing };
    match Duration::try_from(due.duration_since(now)) {
        Ok(left) if !left.is_zero() => Action::Again(left),
        _ => Action::Delete,
    }
}
