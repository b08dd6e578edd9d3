//! `status` of the Node.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Api, Error, Patch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::System;
use crate::context::Context;

/// Most images that the status lists.
const MOST_IMAGES: usize = 50;
const MOST_NAMES: usize = 5;
/// Below so much free memory, and such parts of the disk and of all process
/// numbers, the node is under pressure.
const LEAST_MEMORY: i64 = 100 << 20;
const LEAST_DISK_PERCENT: i64 = 10;
const LEAST_PIDS_PERCENT: i64 = 5;

/// What of the machine changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    pub memory: bool,
    pub disk: bool,
    pub pids: bool,
}

impl Pressure {
    fn now(context: &Context) -> Self {
        let (disk, free) = System::disk(&context.config.root);
        let (pids, most) = System::pids();
        Self {
            memory: System::memory("MemAvailable") < LEAST_MEMORY,
            disk: free < disk / 100 * LEAST_DISK_PERCENT,
            pids: most - pids < most / 100 * LEAST_PIDS_PERCENT,
        }
    }
}

/// Writes the status when it differs, and now and then to be seen alive.
pub struct Keeper {
    context: Arc<Context>,
    api: Api<Node>,
    node: Node,
    written: Option<Value>,
}

impl Keeper {
    pub fn new(context: &Arc<Context>, node: Node) -> Self {
        Self {
            context: context.clone(),
            api: Api::all(context.drivers.transport.clone()),
            node,
            written: None,
        }
    }

    /// `heartbeat`: write though nothing changed.
    pub async fn keep(&mut self, heartbeat: bool) -> Result<(), Error> {
        let context = self.context.clone();
        let pressure = context.blocking(Pressure::now).await.unwrap_or_default();
        let images = self.images().await;
        let now = context.now();
        let status = self.status(pressure, images, now);
        let comparable = without_heartbeat(&status);
        if !heartbeat && self.written.as_ref() == Some(&comparable) {
            return Ok(());
        }
        let mut tree = json!({"status": status});
        // The list is merged by type, and addresses may have changed.
        if let Some(Value::Array(addresses)) = tree["status"].get_mut("addresses") {
            addresses.push(json!({"$patch": "replace"}));
        }
        let body = apimachinery::Value::from_serialize(&tree)
            .map_err(|error| Error::Decode(error.to_string().into()))?;
        self.node = self.api.patch_status(&context.config.node_name, Patch::strategic(body)).await?;
        self.written = Some(comparable);
        Ok(())
    }

    async fn images(&self) -> Vec<ContainerImage> {
        let mut images = self.context.drivers.images.list().await;
        images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
        images
            .iter()
            .take(MOST_IMAGES)
            .map(|image| ContainerImage {
                names: Some(
                    image.repo_digests.iter().chain(&image.repo_tags).take(MOST_NAMES).cloned().collect(),
                ),
                size_bytes: i64::try_from(image.size).ok(),
            })
            .collect()
    }

    fn status(&self, pressure: Pressure, images: Vec<ContainerImage>, now: Timestamp) -> NodeStatus {
        let config = &self.context.config;
        let mut addresses: Vec<NodeAddress> = config
            .addresses
            .iter()
            .map(|ip| NodeAddress { type_: "InternalIP".into(), address: ip.to_string() })
            .collect();
        addresses.push(NodeAddress { type_: "Hostname".into(), address: config.node_name.clone() });
        let before =
            self.node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        NodeStatus {
            capacity: Some(self.context.capacity.capacity()),
            allocatable: Some(self.context.capacity.allocatable()),
            addresses: Some(addresses),
            conditions: Some(conditions(pressure, before, now)),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: config.port.into() }),
            }),
            images: Some(images),
            node_info: Some(System::info(config)),
            ..NodeStatus::default()
        }
    }
}

/// The status as it is compared: heartbeats alone are no change.
fn without_heartbeat(status: &NodeStatus) -> Value {
    let mut status = status.clone();
    for condition in status.conditions.iter_mut().flatten() {
        condition.last_heartbeat_time = None;
    }
    serde_json::to_value(status).unwrap_or_default()
}

/// In upstream's order and words.
fn conditions(pressure: Pressure, before: &[NodeCondition], now: Timestamp) -> Vec<NodeCondition> {
    let known: BTreeMap<&str, &NodeCondition> = before.iter().map(|one| (one.type_.as_str(), one)).collect();
    let one = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let since = known
            .get(kind)
            .filter(|one| one.status == status)
            .and_then(|one| one.last_transition_time.clone());
        NodeCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: since.or(Some(Time(now))),
        }
    };
    let resource = |kind: &str, pressed: bool, bad: (&str, &str), good: (&str, &str)| {
        let (reason, message) = if pressed { bad } else { good };
        one(kind, pressed, reason, message)
    };
    vec![
        resource(
            "MemoryPressure",
            pressure.memory,
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        resource(
            "DiskPressure",
            pressure.disk,
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        resource(
            "PIDPressure",
            pressure.pids,
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
        one("Ready", true, "KubeletReady", "kubelet is posting ready status"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_keep_their_time() {
        let early = Timestamp::UNIX_EPOCH;
        let late = Timestamp::constant(100, 0);
        let first = conditions(Pressure::default(), &[], early);
        let second = conditions(Pressure { memory: true, ..Pressure::default() }, &first, late);
        let of =
            |list: &[NodeCondition], kind: &str| list.iter().find(|one| one.type_ == kind).cloned().unwrap();
        assert_eq!(of(&second, "Ready").last_transition_time, Some(Time(early)));
        assert_eq!(of(&second, "Ready").last_heartbeat_time, Some(Time(late)));
        let memory = of(&second, "MemoryPressure");
        assert_eq!((memory.status.as_str(), memory.last_transition_time), ("True", Some(Time(late))));
        assert_eq!(memory.reason.as_deref(), Some("KubeletHasInsufficientMemory"));
    }
}
