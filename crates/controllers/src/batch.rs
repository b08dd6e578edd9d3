//! Creates and deletes pods for an owner, many at once, and says so in events.

use std::sync::Arc;

use client::{Api, DeleteOptions, Error, Transport};
use futures::future::join_all;
use informer::{EventType, ObjectKey, Recorder, Reference};
use k8s_openapi::api::core::v1::Pod;

use crate::expectations::Expectations;
use crate::pods::PodView;

/// The first batch of creations; each that succeeds is followed by one twice
/// as large (`controller.SlowStartInitialBatchSize`).
const SLOW_START: usize = 1;

/// What became of creations.
#[derive(Debug, Default)]
pub struct Made {
    pub succeeded: usize,
    pub failed: usize,
    /// The first, unless the namespace ends.
    pub error: Option<Error>,
}

/// The owner that creates or deletes.
pub struct Batch<'a> {
    pub transport: Arc<dyn Transport>,
    pub recorder: &'a Recorder,
    pub expectations: &'a Expectations,
    pub owner: &'a ObjectKey,
    pub about: Reference,
}

impl Batch<'_> {
    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.transport.clone(), self.owner.namespace.clone())
    }

    /// Creates in batches that double while all goes well, so that a quota or
    /// a webhook that refuses is asked few times.
    pub async fn create(&self, pods: &[Pod]) -> Made {
        let mut made = Made::default();
        let api = self.api();
        self.expectations.expect_creations(self.owner, pods.len());
        let (mut done, mut batch) = (0, SLOW_START.min(pods.len()));
        while batch > 0 {
            let results = join_all(pods[done..done + batch].iter().map(|pod| api.create(pod))).await;
            done += batch;
            let mut first_error = None;
            for result in results {
                match result {
                    Ok(pod) => {
                        made.succeeded += 1;
                        let name = pod.metadata.name.unwrap_or_default();
                        let message = format!("Created pod: {name}");
                        self.recorder.event(&self.about, EventType::Normal, "SuccessfulCreate", message);
                    }
                    Err(error) => {
                        made.failed += 1;
                        self.expectations.creation_seen(self.owner);
                        first_error.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = first_error {
                (done..pods.len()).for_each(|_| self.expectations.creation_seen(self.owner));
                if crate::namespace_ends(&error) {
                    return made;
                }
                let message = format!("Error creating: {error}");
                self.recorder.event(&self.about, EventType::Warning, "FailedCreate", message);
                made.error = Some(error);
                return made;
            }
            batch = (batch * 2).min(pods.len() - done);
        }
        made
    }

    /// Deletes all at once. Gives the first error; a pod that is gone is none.
    pub async fn delete(&self, pods: &[Arc<PodView>]) -> Option<Error> {
        let api = self.api();
        self.expectations.expect_deletions(self.owner, pods.iter().map(|pod| pod.uid.clone()));
        let deletions = pods.iter().map(|pod| api.delete(&pod.name, DeleteOptions::uid(pod.uid.clone())));
        let mut first_error = None;
        for (pod, result) in pods.iter().zip(join_all(deletions).await) {
            match result {
                Ok(()) => {
                    let message = format!("Deleted pod: {}", pod.name);
                    self.recorder.event(&self.about, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) => {
                    self.expectations.deletion_seen(self.owner, &pod.uid);
                    if !error.is_not_found() {
                        let message = format!("Error deleting: {error}");
                        self.recorder.event(&self.about, EventType::Warning, "FailedDelete", message);
                        first_error.get_or_insert(error);
                    }
                }
            }
        }
        first_error
    }
}
