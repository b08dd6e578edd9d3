//! What every controller is given: the edge, its identity's transport, and
//! the informers that several of them share.

use std::sync::{Arc, OnceLock};

use client::{Resource, Transport};
use edge::Edge;
use informer::{Index, Informer, Options, Projection, Recorder, Whole};
use k8s_openapi::api::apps::v1::ReplicaSet;

use crate::pods::PodView;

/// Gives the transport of `system:serviceaccount:kube-system:NAME`; the name
/// `kube-controller-manager` stands for `system:kube-controller-manager`,
/// which reads for all.
pub type Identities = Arc<dyn Fn(&str) -> Arc<dyn Transport> + Send + Sync>;

/// Given to every controller's `start`.
pub struct Context {
    pub edge: Edge,
    identities: Identities,
    pods: OnceLock<Informer<PodView>>,
    replica_sets: OnceLock<Informer<Whole<ReplicaSet>>>,
}

impl Context {
    pub fn new(edge: Edge, identities: Identities) -> Self {
        Self { edge, identities, pods: OnceLock::new(), replica_sets: OnceLock::new() }
    }

    /// The transport of the controller `name` (`replicaset`, …).
    pub fn transport(&self, name: &str) -> Arc<dyn Transport> {
        (self.identities)(&format!("{name}-controller"))
    }

    /// An event recorder that writes as `name`-controller.
    pub fn recorder(&self, name: &'static str) -> Recorder {
        Recorder::start(&self.edge, self.transport(name.trim_end_matches("-controller")), name, "")
    }

    /// Starts an informer that is not shared, read as the controller manager.
    pub fn informer<P: Projection>(&self, resource: Resource, options: Options<P>) -> Informer<P> {
        Informer::start(&self.edge, (self.identities)("kube-controller-manager"), resource, options)
    }

    /// Every pod, indexed by [`OWNER`].
    pub fn pods(&self) -> &Informer<PodView> {
        self.pods.get_or_init(|| {
            self.informer(
                Resource::new("", "v1", "pods"),
                Options::indexed(vec![Index {
                    name: OWNER,
                    values: |pod: &PodView| pod.controller.iter().map(|owner| owner.uid.clone()).collect(),
                }]),
            )
        })
    }

    /// Every ReplicaSet, indexed by [`OWNER`].
    pub fn replica_sets(&self) -> &Informer<Whole<ReplicaSet>> {
        self.replica_sets.get_or_init(|| {
            self.informer(
                Resource::of::<ReplicaSet>(),
                Options::indexed(vec![Index {
                    name: OWNER,
                    values: |set: &Whole<ReplicaSet>| controller_uid(&set.0),
                }]),
            )
        })
    }
}

/// The index of objects by the uid of their controller.
pub(crate) const OWNER: &str = "owner";

fn controller_uid<K>(object: &K) -> Vec<String>
where
    K: k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
{
    let owners = object.metadata().owner_references.iter().flatten();
    owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).collect()
}
