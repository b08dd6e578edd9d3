//! What every part of one node's kubelet shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use client::Api;
use informer::{Informer, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use runtime::SandboxId;

use crate::config::Config;
use crate::container::fields::Facts;
use crate::drivers::Drivers;
use crate::node::Capacity;
use crate::pod::spec::PodExt;
use crate::pod_certificates::PodCertificates;
use crate::references::References;
use crate::services::Service;
use crate::trust_bundles::TrustBundles;
use crate::volumes::{Tokens, Volumes};

pub struct Context {
    pub config: Config,
    pub drivers: Drivers,
    pub recorder: Recorder,
    pub references: References,
    pub trust_bundles: TrustBundles,
    pub services: Informer<Service>,
    pub volumes: Volumes,
    pub tokens: Tokens,
    pub certificates: PodCertificates,
    pub capacity: Capacity,
    /// Whose events a sandbox's are: uids of pods.
    pub sandboxes: Mutex<BTreeMap<SandboxId, String>>,
}

impl Context {
    pub fn now(&self) -> Timestamp {
        self.drivers.edge.clock.now()
    }

    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.drivers.transport.clone(), namespace)
    }

    /// Directory of all pods' logs.
    pub fn logs(&self) -> PathBuf {
        self.config.root.join("logs")
    }

    pub fn pod_logs(&self, pod: &Pod) -> PathBuf {
        self.logs().join(format!("{}_{}_{}", pod.namespace(), pod.name(), pod.uid()))
    }

    /// What the downward API may say of a pod with these addresses.
    pub fn facts(&self, pod: &Pod, addresses: &[std::net::IpAddr]) -> Facts {
        let pod_ips = if pod.is_host_network() { self.config.addresses.clone() } else { addresses.to_vec() };
        Facts { pod_ips, host_ips: self.config.addresses.clone(), allocatable: self.capacity.allocatable() }
    }

    /// Runs what blocks on the disk; None when the program stops meanwhile.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let context = self.clone();
        self.drivers.edge.tasks.spawn_blocking(move || work(&context)).await
    }
}
