//! The end: nothing of the pod stays on the node, and its object may go.

use client::{DeleteOptions, Error};

use super::Job;
use crate::pod::spec::PodExt;

impl Job {
    pub(super) async fn clean_up(&self) -> Result<(), String> {
        if let Some(id) = &self.sandbox {
            self.remove_sandbox(id).await?;
        }
        for container in &self.containers {
            let _ = self.context.drivers.images.release(container.as_str()).await;
        }
        let pod = self.pod.clone();
        let done = self.context.blocking(move |context| {
            context.volumes.remove(pod.uid())?;
            crate::logs::remove_pod(&context.pod_logs(&pod))
        });
        match done.await {
            Some(Err(error)) => Err(format!("the pod's directory cannot be removed: {error}")),
            _ => Ok(()),
        }
    }

    /// The object waited for this: with no grace left it goes at once.
    pub(super) async fn delete(&self) -> Result<(), Error> {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(self.pod.uid()) };
        match self.context.pods(self.pod.namespace()).delete(self.pod.name(), options).await {
            // Gone, or another pod of the same name is there.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            done => done,
        }
    }
}
