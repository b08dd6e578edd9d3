//! The Node object: registered at the start, kept true after that, and the
//! Lease that says that the node lives.

mod capacity;
mod lease;
mod status;
mod system;

use std::sync::Arc;
use std::time::Duration;

use client::{Api, Patch};
use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::garbage;
use crate::pod::manager::Manager;

pub use capacity::Capacity;
pub use system::System;

/// How often the status is written though nothing in it changed.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// How often the Lease is renewed.
const RENEWAL: Duration = Duration::from_secs(10);

/// Creates the Node, or brings an existing one's labels up to date.
pub async fn register(context: &Context) -> Result<Node, Error> {
    let api: Api<Node> = Api::all(context.drivers.transport.clone());
    let name = &context.config.node_name;
    let wanted = object(&context.config);
    match api.create(&wanted).await {
        Ok(node) => return Ok(node),
        Err(error) if error.is_already_exists() => {}
        Err(error) => return Err(Error::Register(error)),
    }
    let labels = &wanted.metadata.labels;
    let patch = json!({"metadata": {"labels": labels}});
    let body = apimachinery::Value::from_serialize(&patch)
        .map_err(|error| Error::Register(client::Error::Decode(error.to_string().into())))?;
    api.patch(name, Patch::strategic(body)).await.map_err(Error::Register)
}

/// The Node as it is first registered.
fn object(config: &Config) -> Node {
    let mut labels = config.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/arch", system::architecture()),
        ("kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", system::architecture()),
        ("beta.kubernetes.io/os", "linux"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let taints: Vec<Taint> = config.taints.iter().filter_map(|text| taint(text)).collect();
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: config.pod_cidrs.first().cloned(),
            pod_cidrs: Some(config.pod_cidrs.clone()).filter(|list| !list.is_empty()),
            taints: Some(taints).filter(|list| !list.is_empty()),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// `key=value:Effect` or `key:Effect`.
fn taint(text: &str) -> Option<Taint> {
    let (key, effect) = text.rsplit_once(':')?;
    let (key, value) = match key.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (key, None),
    };
    Some(Taint { key: key.into(), value, effect: effect.into(), time_added: None })
}

/// Keeps status and Lease, and looks after logs and images while it is awake
/// anyway. Ends with the kubelet.
pub async fn keep(context: Arc<Context>, manager: Arc<Manager>, node: Node) {
    let mut lease = lease::Keeper::new(&context, &node);
    let mut status = status::Keeper::new(&context, node);
    let mut next_heartbeat = tokio::time::Instant::now();
    loop {
        let due = tokio::time::Instant::now() >= next_heartbeat;
        match status.keep(due).await {
            Ok(()) if due => {
                next_heartbeat = tokio::time::Instant::now() + HEARTBEAT;
                garbage::collect_images(&context).await;
            }
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the node's status will be written again"),
        }
        if let Err(error) = lease.renew().await {
            tracing::warn!(%error, "the node's lease will be renewed again");
        }
        garbage::rotate_logs(&context, &manager).await;
        tokio::time::sleep(RENEWAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_as_flags_write_them() {
        let one = taint("a/b=c:NoSchedule").unwrap();
        assert_eq!(
            (one.key.as_str(), one.value.as_deref(), one.effect.as_str()),
            ("a/b", Some("c"), "NoSchedule")
        );
        assert_eq!(taint("k:NoExecute").unwrap().value, None);
        assert!(taint("nothing").is_none());
    }

    #[test]
    fn the_first_object_has_the_usual_labels() {
        let mut config = Config::new("n", "/x", vec![]);
        config.pod_cidrs = vec!["10.42.0.0/24".into()];
        let node = object(&config);
        assert_eq!(node.metadata.labels.unwrap()["kubernetes.io/hostname"], "n");
        assert_eq!(node.spec.unwrap().pod_cidr.as_deref(), Some("10.42.0.0/24"));
    }
}
