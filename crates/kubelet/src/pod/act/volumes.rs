//! Volumes: fetching what they show, then writing it.

use client::Api;
use jiff::Timestamp;

use super::Job;
use crate::pod::spec::PodExt;
use crate::references;
use crate::volumes::{Sources, fetch_claimed};

impl Job {
    /// When to refresh for the sake of a token or certificate.
    pub(super) async fn set_up_volumes(&self) -> Result<Option<Timestamp>, String> {
        let done = self.try_set_up_volumes().await;
        if let Err(why) = &done {
            self.events.warning("FailedMount", why.clone());
        }
        done
    }

    async fn try_set_up_volumes(&self) -> Result<Option<Timestamp>, String> {
        let context = &self.context;
        let pod = self.pod.clone();
        let keys = pod.spec().volumes.iter().flatten().flat_map(references::of_volume).collect();
        let payloads = context.references.fetch(pod.namespace(), keys).await?;
        let trust_bundles = context.trust_bundles.fetch(&pod).await?;
        let accounts = Api::namespaced(context.drivers.transport.clone(), pod.namespace());
        let now = context.now();
        let tokens = context.tokens.of_pod(&accounts, &pod, now).await.map_err(|why| {
            let volume = pod.spec().volumes.iter().flatten().find(|volume| volume.projected.is_some());
            let name = volume.map(|volume| volume.name.as_str()).unwrap_or_default();
            format!("MountVolume.SetUp failed for volume {name:?} : {why}")
        })?;
        let (drivers, node) = (&context.drivers, &context.config.node_name);
        let certificates = context.certificates.of_pod(drivers, node, &pod, now).await?;
        let renew = tokens.values().map(|token| token.renew).chain(certificates.wake).min();
        let facts = context.facts(&pod, &self.addresses);
        let claimed = fetch_claimed(&context.drivers.transport, &pod).await?;
        let certificates = certificates.bundles;
        let sources = Sources { payloads, claimed, trust_bundles, tokens, certificates, facts, now };
        let done = context.blocking(move |context| context.volumes.set_up(&pod, &sources)).await;
        done.unwrap_or_else(|| Err("the program stops".into())).map(|_| renew)
    }

    pub(super) async fn tear_down_volumes(&self) -> Result<(), String> {
        let uid = self.pod.uid().to_owned();
        let done = self.context.blocking(move |context| context.volumes.tear_down(&uid)).await;
        match done {
            Some(Err(error)) => Err(format!("the pod's volumes cannot be unmounted: {error}")),
            _ => Ok(()),
        }
    }
}
