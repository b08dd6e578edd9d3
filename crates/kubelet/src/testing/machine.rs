//! A node without a kernel: images, network and mounts in memory, and a
//! kubelet on top of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use edge::{Edge, Tasks};
use image::{Image, ImageId, RegistryAuth};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::FakeApi;
use super::runtime::FakeRuntime;
use crate::config::Config;
use crate::drivers::{Attachment, Drivers, Images, PodNetwork, PortMapping};
use crate::kubelet::Kubelet;
use crate::volumes::Mounter;

/// Knows every image but those whose name begins with `missing`.
struct FakeImages(PathBuf);

#[async_trait]
impl Images for FakeImages {
    async fn find(&self, reference: &str) -> Option<Arc<Image>> {
        (!reference.starts_with("missing")).then(|| Arc::new(super::image()))
    }
    async fn pull(&self, reference: &str, _: &RegistryAuth) -> image::Result<Arc<Image>> {
        Err(image::Error::NotFound { reference: reference.into(), detail: String::new() })
    }
    async fn prepare(&self, _: &ImageId, container: &str) -> image::Result<PathBuf> {
        Ok(self.0.join(container))
    }
    async fn release(&self, _: &str) -> image::Result<()> {
        Ok(())
    }
    async fn user(&self, _: &Path, _: &str) -> image::Result<runtime::User> {
        Ok(runtime::User::default())
    }
    async fn written(&self, _: &str) -> Option<(u64, u64)> {
        None
    }
    async fn list(&self) -> Vec<Arc<Image>> {
        vec![Arc::new(super::image())]
    }
    async fn collect_garbage(&self, _: u64) -> image::Result<image::Garbage> {
        Ok(image::Garbage::default())
    }
    fn directory(&self) -> &Path {
        &self.0
    }
}

#[derive(Default)]
pub struct FakeNetwork(pub Mutex<BTreeMap<String, Attachment>>);

#[async_trait]
impl PodNetwork for FakeNetwork {
    async fn attach(&self, sandbox: &str, _: &Path, _: &[PortMapping]) -> Result<Attachment, String> {
        let mut all = self.0.lock();
        let address = format!("10.0.0.{}", all.len() + 1).parse().expect("an address");
        let attachment = Attachment { addresses: vec![address] };
        all.insert(sandbox.to_owned(), attachment.clone());
        Ok(attachment)
    }
    async fn detach(&self, sandbox: &str) -> Result<(), String> {
        self.0.lock().remove(sandbox);
        Ok(())
    }
    async fn attachment(&self, sandbox: &str) -> Option<Attachment> {
        self.0.lock().get(sandbox).cloned()
    }
    async fn attached(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }
}

struct NoMounts;

impl Mounter for NoMounts {
    fn tmpfs(&self, _: &Path, _: Option<u64>, _: u32) -> io::Result<()> {
        Ok(())
    }
    fn bind(&self, _: &OwnedFd, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn unmount(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn is_mounted(&self, _: &Path) -> bool {
        true
    }
    fn mounts_below(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

pub struct Machine {
    pub api: Arc<FakeApi>,
    pub runtime: Arc<FakeRuntime>,
    pub network: Arc<FakeNetwork>,
    pub root: TempDir,
    edge: Edge,
    running: Option<(Tasks, Kubelet)>,
}

impl Machine {
    /// A machine with its kubelet started.
    pub async fn start() -> Self {
        let edge = Edge::simulated(7, "2026-01-01T00:00:00Z".parse().expect("a time"));
        let mut machine = Self {
            api: Arc::new(FakeApi::new()),
            runtime: Arc::new(FakeRuntime::new(edge.clock.clone(), edge.random.clone())),
            network: Arc::default(),
            root: tempfile::tempdir().expect("a directory"),
            edge,
            running: None,
        };
        machine.restart().await;
        machine
    }

    /// Ends the kubelet, as a crash would, and starts it anew.
    pub async fn restart(&mut self) {
        self.stop().await;
        let tasks = self.edge.tasks.child();
        let drivers = Drivers {
            transport: self.api.clone(),
            runtime: self.runtime.clone(),
            images: Arc::new(FakeImages(self.root.path().join("images"))),
            network: self.network.clone(),
            edge: self.edge.with_tasks(tasks.clone()),
        };
        let config = Config::new(
            "n",
            self.root.path().join("kubelet"),
            vec!["192.0.2.1".parse().expect("an address")],
        );
        let kubelet = Kubelet::start_with(config, drivers, Arc::new(NoMounts)).await.expect("a kubelet");
        self.running = Some((tasks, kubelet));
    }

    pub async fn stop(&mut self) {
        if let Some((tasks, _)) = self.running.take() {
            tasks.stop();
            tasks.ended().await;
        }
    }

    /// Binds a pod to the node.
    pub fn bind(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = json!("n");
        self.api.put(
            "pods",
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1},
                "spec": spec,
                "status": {"phase": "Pending"},
            }),
        );
    }

    pub fn delete(&self, name: &str, grace: i64) {
        let mut pod = self.pod(name).expect("the pod is there");
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.api.put("pods", pod);
    }

    pub fn pod(&self, name: &str) -> Option<Value> {
        self.api.get("pods", "ns", name)
    }

    /// Waits (in the test's time) until `holds`.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it never came that {what}: {:#?}", self.api.all("pods"));
    }

    pub async fn until_phase(&self, name: &str, phase: &str) {
        self.until(&format!("{name} is {phase}"), |machine| {
            machine.pod(name).is_some_and(|pod| pod["status"]["phase"] == phase)
        })
        .await;
    }

    /// Reasons of all events, with their counts.
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for event in self.api.all("events") {
            *all.entry(event["reason"].as_str().unwrap_or_default().to_owned()).or_default() +=
                event["count"].as_u64().unwrap_or(1);
        }
        all
    }
}
