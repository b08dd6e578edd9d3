//! DefaultBinder (Bind): creates the pod's `binding` subresource.

use async_trait::async_trait;
use client::Api;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::PodInfo;
use crate::framework::{Bind, BindContext, Plugin};

pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn as_bind(&self) -> Option<&dyn Bind> {
        Some(self)
    }
}

/// Any answer will do: a Status says that it is done.
#[derive(serde::Deserialize)]
struct Done {}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, context: &BindContext, pod: &PodInfo, node: &str) -> Result<(), client::Error> {
        let binding = Binding {
            metadata: ObjectMeta {
                namespace: Some(pod.namespace.clone()),
                name: Some(pod.name.clone()),
                // The server refuses another pod of the same name.
                uid: Some(pod.uid.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".into()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let pods = Api::<Pod>::namespaced(context.transport.clone(), pod.namespace.clone());
        pods.create_subresource::<_, Done>(&pod.name, "binding", &binding).await.map(drop)
    }
}
