//! What a namespace's ConfigMap of the authority needs. Pure.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::serviceaccount::is_active;

pub const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";

/// What was seen of a namespace.
pub struct Observed<'a> {
    pub namespace: &'a Namespace,
    pub current: Option<&'a ConfigMap>,
    /// PEM.
    pub authority: &'a str,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(ConfigMap),
    Update(ConfigMap),
}

pub fn plan(observed: &Observed<'_>) -> Option<Action> {
    if !is_active(observed.namespace) {
        return None;
    }
    let data = Some([(KEY.to_owned(), observed.authority.to_owned())].into());
    match observed.current {
        Some(current) if current.data == data => None,
        Some(current) => Some(Action::Update(ConfigMap { data, ..current.clone() })),
        None => {
            let description = "The certificates by which clients inside the cluster know the API server.";
            Some(Action::Create(ConfigMap {
                metadata: ObjectMeta {
                    name: Some(NAME.into()),
                    namespace: observed.namespace.metadata.name.clone(),
                    annotations: Some([(DESCRIPTION.to_owned(), description.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                data,
                ..ConfigMap::default()
            }))
        }
    }
}
