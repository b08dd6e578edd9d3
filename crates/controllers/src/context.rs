//! What every controller is given: the edge, its identity's transport, and
//! the informers that several of them share.

use std::sync::{Arc, OnceLock};

use client::{Object, Resource, Transport};
use edge::Edge;
use informer::{
    Index, Informer, ObjectKey, Options, Projection, Queue, QueueMetrics, Reconciler, Recorder, Whole,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Namespace, ReplicationController, Service};
use k8s_openapi::api::resource::v1::ResourceClaim;
use serve::families::Families;

use crate::csrsigning::Signer;
use crate::everything::Everything;
use crate::job;
use crate::nodes::NodeView;
use crate::pods::PodView;
use crate::serviceaccounttoken::TokenSigner;
use crate::volume_claims::ClaimView;

/// Gives the transport of `system:serviceaccount:kube-system:NAME`; the name
/// `kube-controller-manager` stands for `system:kube-controller-manager`,
/// which reads for all.
pub type Identities = Arc<dyn Fn(&str) -> Arc<dyn Transport> + Send + Sync>;

/// Given to every controller's `start`.
pub struct Context {
    pub edge: Edge,
    identities: Identities,
    root_ca: Option<Arc<str>>,
    signer: Option<Arc<dyn Signer>>,
    token_signer: Option<Arc<dyn TokenSigner>>,
    metrics: Families,
    queues: QueueMetrics,
    pods: OnceLock<Informer<PodView>>,
    nodes: OnceLock<Informer<NodeView>>,
    services: OnceLock<Informer<Whole<Service>>>,
    namespaces: OnceLock<Informer<Whole<Namespace>>>,
    deployments: OnceLock<Informer<Whole<Deployment>>>,
    replica_sets: OnceLock<Informer<Whole<ReplicaSet>>>,
    replication_controllers: OnceLock<Informer<Whole<ReplicationController>>>,
    stateful_sets: OnceLock<Informer<Whole<StatefulSet>>>,
    volume_claims: OnceLock<Informer<ClaimView>>,
    jobs: OnceLock<Informer<Whole<Job>>>,
    certificate_requests: OnceLock<Informer<Whole<CertificateSigningRequest>>>,
    resource_claims: OnceLock<Informer<Whole<ResourceClaim>>>,
    everything: OnceLock<Arc<Everything>>,
}

impl Context {
    pub fn new(edge: Edge, identities: Identities) -> Self {
        let metrics = Families::default();
        Self {
            edge,
            identities,
            root_ca: None,
            signer: None,
            token_signer: None,
            queues: QueueMetrics::among(&metrics),
            metrics,
            pods: OnceLock::new(),
            nodes: OnceLock::new(),
            services: OnceLock::new(),
            namespaces: OnceLock::new(),
            deployments: OnceLock::new(),
            replica_sets: OnceLock::new(),
            replication_controllers: OnceLock::new(),
            stateful_sets: OnceLock::new(),
            volume_claims: OnceLock::new(),
            jobs: OnceLock::new(),
            certificate_requests: OnceLock::new(),
            resource_claims: OnceLock::new(),
            everything: OnceLock::new(),
        }
    }

    /// The cluster authority's certificates (PEM) that every namespace gets;
    /// without them none are published.
    pub fn with_root_ca(mut self, pem: impl Into<Arc<str>>) -> Self {
        self.root_ca = Some(pem.into());
        self
    }

    pub(crate) fn root_ca(&self) -> Option<Arc<str>> {
        self.root_ca.clone()
    }

    /// The authority that signs the requests of Kubernetes' own signers; without
    /// it none are signed.
    pub fn with_signer(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    pub(crate) fn signer(&self) -> Option<Arc<dyn Signer>> {
        self.signer.clone()
    }

    /// The key that signs the tokens of Secrets; without it none are filled.
    pub fn with_token_signer(mut self, signer: Arc<dyn TokenSigner>) -> Self {
        self.token_signer = Some(signer);
        self
    }

    pub(crate) fn token_signer(&self) -> Option<Arc<dyn TokenSigner>> {
        self.token_signer.clone()
    }

    /// The transport of `system:serviceaccount:kube-system:IDENTITY`
    /// (`replicaset-controller`, …).
    pub fn transport(&self, identity: &str) -> Arc<dyn Transport> {
        (self.identities)(identity)
    }

    /// An event recorder that writes as `identity` and calls itself so.
    pub fn recorder(&self, identity: &'static str) -> Recorder {
        self.recorder_as(identity, identity)
    }

    /// An event recorder that writes as `identity` and calls itself `component`.
    pub fn recorder_as(&self, identity: &str, component: &'static str) -> Recorder {
        Recorder::start(&self.edge, self.transport(identity), component, "")
    }

    /// What the controllers count, their queues too.
    pub fn metrics(&self) -> &Families {
        &self.metrics
    }

    /// What the controllers' queues count.
    pub fn queues(&self) -> &QueueMetrics {
        &self.queues
    }

    /// A work queue under upstream's name for it.
    pub(crate) fn queue<K: Ord + Clone + Send + Sync + 'static>(&self, name: &'static str) -> Queue<K> {
        Queue::named(name, &self.queues)
    }

    /// Starts `workers` workers on `queue` once every view in `synced` shows
    /// its first list.
    pub(crate) fn run<K, R>(
        &self,
        queue: Queue<K>,
        reconciler: R,
        workers: usize,
        synced: impl Future<Output = ()> + Send + 'static,
    ) where
        K: Ord + Clone + std::fmt::Debug + Send + Sync + 'static,
        R: Reconciler<K>,
    {
        let edge = self.edge.clone();
        self.edge.tasks.spawn(async move {
            synced.await;
            informer::run(&edge, queue, Arc::new(reconciler), workers);
        });
    }

    /// Starts an informer that is not shared, read as the controller manager.
    pub fn informer<P: Projection>(&self, resource: Resource, options: Options<P>) -> Informer<P> {
        Informer::start(&self.edge, (self.identities)("kube-controller-manager"), resource, options)
    }

    /// Every pod, indexed by [`OWNER`], [`NODE`] and [`TRACKED`].
    pub fn pods(&self) -> &Informer<PodView> {
        self.pods.get_or_init(|| {
            self.informer(
                Resource::new("", "v1", "pods"),
                Options::indexed(vec![
                    Index {
                        name: OWNER,
                        values: |pod: &PodView| match &pod.controller {
                            Some(owner) => vec![owner.uid.clone()],
                            None => vec![orphans_of(&pod.namespace)],
                        },
                    },
                    Index {
                        name: TRACKED,
                        values: |pod: &PodView| {
                            let is_tracked = pod.finalizers.iter().any(|name| name == job::TRACKING);
                            let job =
                                pod.controller.as_ref().filter(|owner| is_tracked && owner.kind == "Job");
                            job.map(|owner| ObjectKey::new(&pod.namespace, &owner.name).to_string())
                                .into_iter()
                                .collect()
                        },
                    },
                    Index {
                        name: NODE,
                        values: |pod: &PodView| {
                            Some(pod.node.clone()).filter(|node| !node.is_empty()).into_iter().collect()
                        },
                    },
                ]),
            )
        })
    }

    /// Every node.
    pub fn nodes(&self) -> &Informer<NodeView> {
        self.nodes.get_or_init(|| self.informer(Resource::new("", "v1", "nodes"), Options::default()))
    }

    /// Every Service.
    pub fn services(&self) -> &Informer<Whole<Service>> {
        self.services.get_or_init(|| self.informer(Resource::of::<Service>(), Options::default()))
    }

    /// Every namespace.
    pub fn namespaces(&self) -> &Informer<Whole<Namespace>> {
        self.namespaces.get_or_init(|| self.informer(Resource::of::<Namespace>(), Options::default()))
    }

    /// Every object of every resource, reduced to its metadata.
    pub(crate) fn everything(&self) -> &Arc<Everything> {
        self.everything
            .get_or_init(|| Everything::start(&self.edge, (self.identities)("kube-controller-manager")))
    }

    /// Every Deployment.
    pub fn deployments(&self) -> &Informer<Whole<Deployment>> {
        self.deployments.get_or_init(|| self.informer(Resource::of::<Deployment>(), Options::default()))
    }

    /// Every StatefulSet.
    pub fn stateful_sets(&self) -> &Informer<Whole<StatefulSet>> {
        self.stateful_sets.get_or_init(|| self.informer(Resource::of::<StatefulSet>(), Options::default()))
    }

    /// Every ReplicaSet, indexed by [`OWNER`].
    pub fn replica_sets(&self) -> &Informer<Whole<ReplicaSet>> {
        self.replica_sets.get_or_init(|| self.owned())
    }

    /// Every ReplicationController, indexed by [`OWNER`].
    pub fn replication_controllers(&self) -> &Informer<Whole<ReplicationController>> {
        self.replication_controllers.get_or_init(|| self.owned())
    }

    /// Every PersistentVolumeClaim.
    pub fn volume_claims(&self) -> &Informer<ClaimView> {
        self.volume_claims.get_or_init(|| {
            self.informer(Resource::new("", "v1", "persistentvolumeclaims"), Options::default())
        })
    }

    /// Every Job, indexed by [`OWNER`].
    pub fn jobs(&self) -> &Informer<Whole<Job>> {
        self.jobs.get_or_init(|| self.owned())
    }

    /// Every CertificateSigningRequest.
    pub fn certificate_requests(&self) -> &Informer<Whole<CertificateSigningRequest>> {
        self.certificate_requests
            .get_or_init(|| self.informer(Resource::of::<CertificateSigningRequest>(), Options::default()))
    }

    /// Every ResourceClaim.
    pub fn resource_claims(&self) -> &Informer<Whole<ResourceClaim>> {
        self.resource_claims
            .get_or_init(|| self.informer(Resource::of::<ResourceClaim>(), Options::default()))
    }

    /// An informer of whole objects, indexed by [`OWNER`].
    pub(crate) fn owned<K>(&self) -> Informer<Whole<K>>
    where
        K: Object + 'static,
    {
        let index = Index { name: OWNER, values: |object: &Whole<K>| controller_uid(&object.0) };
        self.informer(Resource::of::<K>(), Options::indexed(vec![index]))
    }
}

/// The index of objects by the uid of their controller; pods without one are
/// at [`orphans_of`] their namespace.
pub(crate) const OWNER: &str = "owner";
/// The index of pods that a Job has yet to count, by its namespace and name.
pub(crate) const TRACKED: &str = "tracked";
/// The index of pods by the node they are bound to.
pub(crate) const NODE: &str = "node";

/// What stands in [`OWNER`] for pods that nobody controls; no uid has a slash.
pub(crate) fn orphans_of(namespace: &str) -> String {
    format!("{namespace}/")
}

pub(crate) fn controller_uid<K>(object: &K) -> Vec<String>
where
    K: k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
{
    let owners = object.metadata().owner_references.iter().flatten();
    owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).collect()
}
