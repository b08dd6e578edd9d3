//! The kinds that want so many pods of a template. Pure.

use std::borrow::Cow;

use client::Object;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};

/// A kind that is run as a ReplicaSet is.
pub trait Replicated: Object + Clone + 'static {
    /// The controller's name in logs.
    const NAME: &'static str;
    /// Its account in `kube-system`, also what its events come from.
    const IDENTITY: &'static str;
    /// Its work queue's name in metrics.
    const QUEUE: &'static str;

    /// The object seen as a ReplicaSet.
    fn as_set(&self) -> Cow<'_, ReplicaSet>;

    /// Whether this is its status.
    fn has_status(&self, status: &ReplicaSetStatus) -> bool;

    /// The object with another status.
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicated for ReplicaSet {
    const NAME: &'static str = "replicaset";
    const IDENTITY: &'static str = "replicaset-controller";
    const QUEUE: &'static str = "replicaset";

    fn as_set(&self) -> Cow<'_, ReplicaSet> {
        Cow::Borrowed(self)
    }

    fn has_status(&self, status: &ReplicaSetStatus) -> bool {
        self.status.as_ref() == Some(status)
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}
