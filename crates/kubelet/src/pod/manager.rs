//! The pods of this node: a worker for each, and the routes by which what
//! happens reaches the right one.

use std::collections::BTreeMap;
use std::sync::Arc;

use informer::{Change, Informer, Options, Whole};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use runtime::{Event, SandboxStatus};
use tokio::sync::{broadcast, mpsc, watch};

use super::admission::{self, Used};
use super::adopt::adopt;
use super::events::Events;
use super::spec::PodExt;
use super::worker::{Mailbox, Message, Snapshot, Worker};
use crate::context::Context;

/// Starts, tells and finds workers.
pub struct Manager {
    context: Arc<Context>,
    pods: Mutex<BTreeMap<String, Entry>>,
    /// What was found at the start, until its pod is known.
    found: Mutex<BTreeMap<String, Vec<SandboxStatus>>>,
    node: Informer<Whole<Node>>,
}

/// The pod as it was and as it is; None where it was or is not there.
type PodChange = (Option<Arc<Pod>>, Option<Arc<Pod>>);

struct Entry {
    mailbox: Mailbox,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    rejected: bool,
}

impl Manager {
    /// `found` is everything that the runtime has.
    pub fn new(context: Arc<Context>, found: Vec<SandboxStatus>, node: Informer<Whole<Node>>) -> Arc<Self> {
        let mut by_uid: BTreeMap<String, Vec<SandboxStatus>> = BTreeMap::new();
        for sandbox in found {
            context.sandboxes.lock().insert(sandbox.id.clone(), sandbox.config.uid.clone());
            by_uid.entry(sandbox.config.uid.clone()).or_default().push(sandbox);
        }
        Arc::new(Self { context, pods: Mutex::default(), found: Mutex::new(by_uid), node })
    }

    /// Follows the API and the runtime; `changed` gives the uids of pods whose
    /// ConfigMaps or Secrets changed.
    pub fn start(self: &Arc<Self>, changed: mpsc::UnboundedReceiver<String>) {
        let drivers = &self.context.drivers;
        let tasks = &drivers.edge.tasks;
        tasks.spawn(self.clone().follow_runtime(drivers.runtime.events()));
        tasks.spawn(self.clone().follow_references(changed));
        let options = Options::fields(format!("spec.nodeName={}", self.context.config.node_name));
        let resource = client::Resource::of::<Pod>();
        let informer: Informer<Whole<Pod>> =
            Informer::start(&drivers.edge, drivers.transport.clone(), resource, options);
        let (send, receive) = mpsc::unbounded_channel();
        informer.on_change(move |change: Change<'_, Whole<Pod>>| {
            let old = change.old.map(|pod| Arc::new(pod.0.clone()));
            let new = change.new.map(|pod| Arc::new(pod.0.clone()));
            let _ = send.send((old, new));
        });
        tasks.spawn(self.clone().follow_pods(informer, receive));
    }

    async fn follow_pods(
        self: Arc<Self>,
        informer: Informer<Whole<Pod>>,
        mut changes: mpsc::UnboundedReceiver<PodChange>,
    ) {
        // Nothing is admitted before the whole list is known: older pods keep their places.
        informer.synced().await;
        let mut first = true;
        loop {
            let mut batch = Vec::new();
            while let Ok(change) = changes.try_recv() {
                batch.push(change);
            }
            if first {
                first = false;
                batch.sort_by_key(|(_, new)| {
                    new.as_ref().map(|pod| (pod.status().start_time.is_none(), pod.created_at()))
                });
                for (old, new) in batch {
                    self.take(old, new);
                }
                self.remove_orphans().await;
            } else {
                for (old, new) in batch {
                    self.take(old, new);
                }
            }
            match changes.recv().await {
                Some((old, new)) => self.take(old, new),
                None => return,
            }
        }
    }

    fn take(self: &Arc<Self>, old: Option<Arc<Pod>>, new: Option<Arc<Pod>>) {
        if let Some(old) = &old
            && new.as_ref().is_none_or(|new| new.uid() != old.uid())
        {
            self.tell(old.uid(), Message::Removed(old.clone()));
        }
        let Some(pod) = new else { return };
        let mut pods = self.pods.lock();
        if let Some(entry) = pods.get(pod.uid()) {
            let _ = entry.mailbox.send(Message::Object(pod));
            return;
        }
        let uid = pod.uid().to_owned();
        let now = self.context.now();
        let sandboxes = self.found.lock().remove(&uid).unwrap_or_default();
        let is_new = sandboxes.is_empty();
        let mut record = adopt(pod.clone(), sandboxes, now);
        if is_new && pod.status().start_time.is_none() && !pod.is_deleted() {
            let mut used = Used::default();
            for entry in pods.values().filter(|entry| !entry.rejected) {
                let other = entry.snapshot.borrow().pod.clone();
                if !other.is_terminal() {
                    used.add(&other);
                }
            }
            let node = self.node.list().into_iter().next();
            let allocatable = self.context.capacity.allocatable();
            record.rejected =
                admission::refuse(&pod, &used, &allocatable, node.as_deref().map(|node| &node.0));
        } else if is_new && pod.is_terminal() && pod.status().container_statuses.is_none() {
            // It was refused by an earlier run.
            let status = pod.status();
            record.rejected = Some(super::record::Verdict {
                reason: status.reason.clone().unwrap_or_default(),
                message: status.message.clone().unwrap_or_default(),
            });
        }
        if let Some(verdict) = &record.rejected
            && !pod.is_terminal()
        {
            let events = Events::about(&self.context.recorder, &pod);
            let message = verdict.message.trim_start_matches("Pod was rejected: ");
            events.warning("FailedAdmission", format!("{}: {message}", verdict.reason));
        }
        let (mailbox, messages) = mpsc::unbounded_channel();
        let (publish, snapshot) = watch::channel(Arc::new(Snapshot {
            pod: pod.clone(),
            sandbox: record.sandbox.id().cloned(),
            containers: Vec::new(),
        }));
        let rejected = record.rejected.is_some();
        pods.insert(uid.clone(), Entry { mailbox: mailbox.clone(), snapshot, rejected });
        drop(pods);
        let worker = Worker::new(self.context.clone(), record, mailbox, publish);
        let manager = self.clone();
        self.context.drivers.edge.tasks.spawn(async move {
            worker.run(messages).await;
            manager.pods.lock().remove(&uid);
        });
    }

    fn tell(&self, uid: &str, message: Message) {
        if let Some(entry) = self.pods.lock().get(uid) {
            let _ = entry.mailbox.send(message);
        }
    }

    async fn follow_references(self: Arc<Self>, mut changed: mpsc::UnboundedReceiver<String>) {
        while let Some(uid) = changed.recv().await {
            self.tell(&uid, Message::Stale);
        }
    }

    async fn follow_runtime(self: Arc<Self>, mut events: broadcast::Receiver<Event>) {
        loop {
            let event = match events.recv().await {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events of the runtime were missed: every pod is looked at");
                    for entry in self.pods.lock().values() {
                        let _ = entry.mailbox.send(Message::Relist);
                    }
                    continue;
                }
                Err(broadcast::error::RecvError::Closed) => return,
            };
            let (sandbox, message) = match event {
                Event::ContainerStarted { sandbox, id } | Event::ContainerExited { sandbox, id, .. } => {
                    (sandbox, Message::Container(id))
                }
                Event::SandboxGone { sandbox } => (sandbox, Message::SandboxGone),
                Event::OutOfMemory { .. } => continue,
            };
            let uid = self.context.sandboxes.lock().get(&sandbox).cloned();
            if let Some(uid) = uid {
                self.tell(&uid, message);
            }
        }
    }

    /// What is here of pods that were deleted while nobody looked.
    async fn remove_orphans(&self) {
        let drivers = &self.context.drivers;
        let orphans = std::mem::take(&mut *self.found.lock());
        for sandbox in orphans.into_values().flatten() {
            tracing::info!(
                pod = sandbox.config.name,
                namespace = sandbox.config.namespace,
                "an orphaned pod is removed"
            );
            crate::drain::remove_sandbox(drivers, &sandbox).await;
            let logs = sandbox.config.log_directory.clone();
            self.context.blocking(move |_| crate::logs::remove_pod(&logs)).await;
        }
        let live: Vec<String> = self.pods.lock().keys().cloned().collect();
        self.context
            .blocking(move |context| {
                for uid in context.volumes.known_pods() {
                    if !live.contains(&uid)
                        && let Err(error) = context.volumes.remove(&uid)
                    {
                        tracing::warn!(uid, %error, "the directory of a deleted pod stays");
                    }
                }
            })
            .await;
        let attached = drivers.network.attached().await;
        let known: Vec<String> =
            self.context.sandboxes.lock().keys().map(|id| id.as_str().to_owned()).collect();
        for id in attached.into_iter().filter(|id| !known.contains(id)) {
            if let Err(error) = drivers.network.detach(&id).await {
                tracing::warn!(sandbox = id, error, "the network of a deleted pod stays");
            }
        }
    }

    /// Pods as they are now.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.pods.lock().values().map(|entry| entry.snapshot.borrow().clone()).collect()
    }

    /// Follows one pod as long as it is on the node.
    pub fn watch(&self, uid: &str) -> Option<watch::Receiver<Arc<Snapshot>>> {
        self.pods.lock().get(uid).map(|entry| entry.snapshot.clone())
    }

    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Snapshot>> {
        let mut all = self.snapshots();
        all.retain(|one| one.pod.namespace() == namespace && one.pod.name() == name);
        // A namesake that goes is older than the one that came.
        all.into_iter().max_by_key(|one| one.pod.created_at())
    }
}
