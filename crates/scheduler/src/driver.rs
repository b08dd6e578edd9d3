//! The running scheduler: informers feed it, and it carries out what the core
//! decides, on a thread of its own.

use std::sync::Arc;

use apimachinery::labels::Selector;
use client::{Document, Error, Resource, Transport};
use edge::Edge;
use informer::{Informer, Meta, ObjectKey, Options, Projection, Recorder};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, ServiceSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::act::Actor;
use crate::cluster::{Budget, NodeFacts};
use crate::core::{Core, Input, Output};
use crate::framework::Framework;
use crate::plugins::volume_binding::{Claim, Class, Volume};
use crate::{PodInfo, SCHEDULER_NAME, selector};

/// Where decisions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On a thread of its own, so that a burst of decisions delays nobody.
    OwnThread,
    /// On the runtime of everything else, as a simulation wants it.
    SameRuntime,
}

/// After so many decisions in a row others on the same runtime have their turn.
const TURN: u32 = 16;

/// kube-scheduler. It runs until the task group of its edge stops.
pub struct Scheduler;

impl Scheduler {
    /// Starts the default profile. `transport` speaks as `system:kube-scheduler`.
    pub fn start(edge: &Edge, transport: Arc<dyn Transport>, placement: Placement) {
        Self::start_with(edge, transport, placement, Framework::default_profile());
    }

    /// Starts with other plugins.
    pub fn start_with(
        edge: &Edge,
        transport: Arc<dyn Transport>,
        placement: Placement,
        framework: Framework,
    ) {
        let framework = Arc::new(framework);
        let (sender, receiver) = mpsc::unbounded_channel();
        let sources = Sources::start(edge, &transport, &sender);
        let recorder = Recorder::start(edge, transport.clone(), SCHEDULER_NAME, "");
        let actor = Arc::new(Actor {
            edge: edge.clone(),
            transport,
            framework: framework.clone(),
            recorder,
            inputs: sender,
        });
        let core = Core::new(framework, edge.random.clone());
        let running = run(edge.clone(), core, receiver, actor, sources);
        match placement {
            Placement::SameRuntime => drop(edge.tasks.spawn(running)),
            Placement::OwnThread => drop(edge.tasks.spawn_blocking(move || {
                // Timers stay those of the runtime, which a test may pause.
                tokio::runtime::Handle::current().block_on(running);
            })),
        }
    }
}

async fn run(
    edge: Edge,
    mut core: Core,
    mut inputs: mpsc::UnboundedReceiver<Input>,
    actor: Arc<Actor>,
    sources: Sources,
) {
    let ready = tokio::select! {
        // In order, so that a simulation repeats itself.
        biased;
        () = sources.synced() => true,
        () = edge.tasks.stopped() => false,
    };
    let mut decided = 0u32;
    while ready && !edge.tasks.is_stopped() {
        while let Ok(input) = inputs.try_recv() {
            take(&mut core, input, &actor);
        }
        if let Some(output) = core.step(Instant::now()) {
            match output {
                Output::Bind { pod, node } => actor.bind(pod, node),
                Output::Report(report) => actor.report(report),
            }
            decided += 1;
            if decided.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
            continue;
        }
        let wake = core.next_wake();
        let pause = async move {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = edge.tasks.stopped() => return,
            input = inputs.recv() => match input {
                Some(input) => take(&mut core, input, &actor),
                None => return,
            },
            () = pause => {}
        }
    }
}

fn take(core: &mut Core, input: Input, actor: &Arc<Actor>) {
    if let Some(report) = core.take(input, Instant::now()) {
        actor.report(report);
    }
}

/// The informers whose changes the scheduler follows.
struct Sources {
    pods: Informer<PodInfo>,
    nodes: Informer<NodeFacts>,
    namespaces: Informer<Meta>,
    budgets: Informer<BudgetView>,
    services: Informer<ServiceView>,
    claims: Informer<ClaimView>,
    volumes: Informer<VolumeView>,
    classes: Informer<ClassView>,
}

impl Sources {
    fn start(edge: &Edge, transport: &Arc<dyn Transport>, sender: &mpsc::UnboundedSender<Input>) -> Self {
        fn informer<P: Projection>(
            edge: &Edge,
            transport: &Arc<dyn Transport>,
            resource: Resource,
            options: Options<P>,
        ) -> Informer<P> {
            Informer::start(edge, transport.clone(), resource, options)
        }
        let core = |plural| Resource::new("", "v1", plural);
        let sources = Self {
            pods: informer(
                edge,
                transport,
                core("pods"),
                Options::fields("status.phase!=Failed,status.phase!=Succeeded"),
            ),
            nodes: informer(edge, transport, core("nodes"), Options::default()),
            namespaces: informer(edge, transport, core("namespaces"), Options::default()),
            budgets: informer(
                edge,
                transport,
                Resource::new("policy", "v1", "poddisruptionbudgets"),
                Options::default(),
            ),
            services: informer(edge, transport, core("services"), Options::default()),
            claims: informer(edge, transport, core("persistentvolumeclaims"), Options::default()),
            volumes: informer(edge, transport, core("persistentvolumes"), Options::default()),
            classes: informer(
                edge,
                transport,
                Resource::new("storage.k8s.io", "v1", "storageclasses"),
                Options::default(),
            ),
        };
        // The receiver ends with the scheduler, whose informers end with it.
        let to = sender.clone();
        sources.pods.on_change(move |change| {
            let _ = to.send(Input::Pod { old: change.old.cloned(), new: change.new.cloned() });
        });
        let to = sender.clone();
        sources.nodes.on_change(move |change| {
            let _ = to.send(Input::Node { old: change.old.cloned(), new: change.new.cloned() });
        });
        let to = sender.clone();
        sources.namespaces.on_change(move |change| {
            let labels = |meta: &Arc<Meta>| meta.labels.clone();
            let (old, new) = (change.old.map(labels), change.new.map(labels));
            if old != new {
                let _ = to.send(Input::Namespace { name: change.key.name.clone(), labels: new });
            }
        });
        let to = sender.clone();
        sources.budgets.on_change(move |change| {
            let budget = change.new.map(|view| view.0.clone());
            let _ = to.send(Input::Budget { key: change.key.clone(), budget });
        });
        let to = sender.clone();
        sources.services.on_change(move |change| {
            let selector = |view: &Arc<ServiceView>| view.selector.clone();
            let (old, new) = (change.old.map(selector), change.new.map(selector));
            if old != new {
                let _ = to.send(Input::Service { key: change.key.clone(), selector: new });
            }
        });
        let to = sender.clone();
        sources.claims.on_change(move |change| {
            let (old, new) = (change.old.map(|view| &view.claim), change.new.map(|view| &view.claim));
            if old != new {
                let _ = to.send(Input::Claim { key: change.key.clone(), claim: new.cloned() });
            }
        });
        let to = sender.clone();
        sources.volumes.on_change(move |change| {
            let (old, new) = (change.old.map(|view| &view.volume), change.new.map(|view| &view.volume));
            if old != new {
                let _ = to.send(Input::Volume { name: change.key.name.clone(), volume: new.cloned() });
            }
        });
        let to = sender.clone();
        sources.classes.on_change(move |change| {
            let class = change.new.map(|view| view.class.clone());
            let _ = to.send(Input::Class { name: change.key.name.clone(), class });
        });
        sources
    }

    /// Waits until the first decision would not be made on half the picture.
    async fn synced(&self) {
        self.nodes.synced().await;
        self.pods.synced().await;
        self.namespaces.synced().await;
        self.budgets.synced().await;
        self.services.synced().await;
        self.claims.synced().await;
        self.volumes.synced().await;
        self.classes.synced().await;
    }
}

/// A PodDisruptionBudget as preemption looks at it.
struct BudgetView(Arc<Budget>);

impl Projection for BudgetView {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Name,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }
        #[derive(Deserialize, Default)]
        struct Spec {
            selector: Option<LabelSelector>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Status {
            disruptions_allowed: i32,
            disrupted_pods: Option<BTreeMap<String, serde_json::Value>>,
        }
        let Part { metadata, spec, status } = document.decode_part()?;
        let disrupted: BTreeSet<String> = status.disrupted_pods.unwrap_or_default().into_keys().collect();
        Ok(Self(Arc::new(Budget {
            namespace: metadata.namespace,
            name: metadata.name,
            selector: selector::read(spec.selector.as_ref()),
            disruptions_allowed: status.disruptions_allowed,
            disrupted,
        })))
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.0.namespace.clone(), self.0.name.clone())
    }
}

/// Which pods a Service selects.
struct ServiceView {
    namespace: String,
    name: String,
    selector: Selector,
}

impl Projection for ServiceView {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Name,
            #[serde(default)]
            spec: ServiceSpec,
        }
        let Part { metadata, spec } = document.decode_part()?;
        let labels = spec.selector.unwrap_or_default();
        let pairs = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        // A Service without a selector selects nothing.
        let selector = if labels.is_empty() { Selector::nothing() } else { Selector::of_labels(pairs) };
        Ok(Self { namespace: metadata.namespace, name: metadata.name, selector })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// A PersistentVolumeClaim as VolumeBinding looks at it.
struct ClaimView {
    namespace: String,
    name: String,
    claim: Arc<Claim>,
}

impl Projection for ClaimView {
    fn project(document: &Document) -> Result<Self, Error> {
        let claim: PersistentVolumeClaim = document.decode()?;
        Ok(Self {
            namespace: claim.metadata.namespace.clone().unwrap_or_default(),
            name: claim.metadata.name.clone().unwrap_or_default(),
            claim: Arc::new(Claim::of(claim)),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

/// A PersistentVolume as VolumeBinding looks at it.
struct VolumeView {
    name: String,
    volume: Arc<Volume>,
}

impl Projection for VolumeView {
    fn project(document: &Document) -> Result<Self, Error> {
        let volume: PersistentVolume = document.decode()?;
        Ok(Self {
            name: volume.metadata.name.clone().unwrap_or_default(),
            volume: Arc::new(Volume::of(volume)),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

/// A StorageClass as VolumeBinding looks at it.
struct ClassView {
    name: String,
    class: Arc<Class>,
}

impl Projection for ClassView {
    fn project(document: &Document) -> Result<Self, Error> {
        let class: StorageClass = document.decode()?;
        Ok(Self { name: class.metadata.name.clone().unwrap_or_default(), class: Arc::new(Class::of(class)) })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.clone())
    }
}

#[derive(Deserialize)]
struct Name {
    #[serde(default)]
    namespace: String,
    name: String,
}
