//! The Lease of the node in `kube-node-lease`.

use std::sync::Arc;

use client::{Api, Error};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};

use crate::context::Context;

const NAMESPACE: &str = "kube-node-lease";
/// Seconds after which others may take the node for dead.
const DURATION: i32 = 40;

pub struct Keeper {
    context: Arc<Context>,
    api: Api<Lease>,
    owner: OwnerReference,
    held: Option<Lease>,
}

impl Keeper {
    pub fn new(context: &Arc<Context>, node: &Node) -> Self {
        let owner = OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: context.config.node_name.clone(),
            uid: node.metadata.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        };
        let api = Api::namespaced(context.drivers.transport.clone(), NAMESPACE);
        Self { context: context.clone(), api, owner, held: None }
    }

    pub async fn renew(&mut self) -> Result<(), Error> {
        let name = &self.context.config.node_name;
        let known = match self.held.take() {
            Some(lease) => Some(lease),
            None => self.api.find(name).await?,
        };
        let spec = LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(DURATION),
            renew_time: Some(MicroTime(self.context.now())),
            ..LeaseSpec::default()
        };
        self.held = Some(match known {
            Some(mut lease) => {
                lease.spec = Some(spec);
                // Who wrote in between is seen by the next renewal.
                self.api.update(&lease).await?
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(NAMESPACE.into()),
                    owner_references: Some(vec![self.owner.clone()]),
                    ..ObjectMeta::default()
                };
                self.api.create(&Lease { metadata, spec: Some(spec) }).await?
            }
        });
        Ok(())
    }
}
