//! One pod's loop: take note of what happened, plan, start what was planned,
//! tell the API, wait for the next thing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client::{Error, Patch};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use runtime::{ContainerId, ContainerState, ContainerStatus};
use tokio::sync::mpsc;

use super::act::{Job, Outcome, read_exit};
use super::backoff::{FIRST, FIRST_STEP, Failure, LONGEST, LONGEST_STEP};
use super::events::Events;
use super::record::{Condemned, ContainerRecord, ImageStep, Instance, Operation, PodRecord, Sandbox, Step};
use super::spec::PodExt;
use super::state::{self, Action};
use crate::context::Context;
use crate::probes::{Probes, Report};
use crate::status;

/// What a pod's worker is told.
#[derive(Debug)]
pub enum Message {
    /// The object as the API has it now.
    Object(Arc<Pod>),
    /// The object is gone; this is its last state.
    Removed(Arc<Pod>),
    /// Something happened to a container of the pod.
    Container(ContainerId),
    SandboxGone,
    /// Something may have been missed: look at everything.
    Relist,
    /// A ConfigMap or Secret of the pod changed.
    Stale,
    /// An instance was made (and started, unless it has an exit).
    Created {
        container: String,
        instance: Box<Instance>,
    },
    Condemned {
        container: String,
        id: ContainerId,
        condemned: Condemned,
    },
    Probe(Report),
    Done(Operation, Outcome),
    Written {
        result: Result<Arc<Pod>, Error>,
        is_final: bool,
    },
}

pub type Mailbox = mpsc::UnboundedSender<Message>;

/// After a status could not be written.
const WRITE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

pub struct Worker {
    context: Arc<Context>,
    record: PodRecord,
    mailbox: Mailbox,
    probes: Probes,
    /// A status is on its way.
    writing: bool,
    write_again: Option<Timestamp>,
    publish: tokio::sync::watch::Sender<Arc<Snapshot>>,
}

/// What the node server and the summary know of a pod.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub pod: Arc<Pod>,
    pub sandbox: Option<runtime::SandboxId>,
    /// Newest instances.
    pub containers: Vec<Newest>,
}

/// The newest instance of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    pub name: String,
    pub id: ContainerId,
    pub attempt: u32,
    pub running: bool,
}

impl Worker {
    pub fn new(
        context: Arc<Context>,
        record: PodRecord,
        mailbox: Mailbox,
        publish: tokio::sync::watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        let probes = Probes::new(context.clone(), mailbox.clone());
        Self { context, record, mailbox, probes, writing: false, write_again: None, publish }
    }

    /// Runs until nothing of the pod is left here and in the API.
    pub async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        self.context.references.hold(&self.record.pod);
        self.context.trust_bundles.hold(&self.record.pod);
        loop {
            let now = self.context.now();
            state::advance(&mut self.record, now);
            self.write_status(now);
            let plan = state::plan(&self.record, now);
            let told = plan.actions.iter().any(|action| action.operation().is_none());
            for action in plan.actions {
                self.start(action, now);
            }
            // Telling changes what the status says.
            if told {
                continue;
            }
            self.probes.follow(&self.record);
            self.publish();
            if self.is_over() {
                break;
            }
            let wake = [plan.wake, self.write_again].into_iter().flatten().min();
            let message = match wake {
                None => messages.recv().await,
                Some(at) => {
                    let pause = Duration::try_from(at.duration_since(self.context.now())).unwrap_or_default();
                    tokio::time::timeout(pause.max(Duration::from_millis(1)), messages.recv())
                        .await
                        .unwrap_or(None)
                }
            };
            if let Some(message) = message {
                self.take(message).await;
            }
            while let Ok(message) = messages.try_recv() {
                self.take(message).await;
            }
        }
        self.context.references.release(&self.record.pod);
        self.context.trust_bundles.release(&self.record.pod);
        self.context.tokens.forget(self.record.pod.uid());
        self.context.certificates.forget(self.record.pod.uid());
    }

    fn is_over(&self) -> bool {
        let nothing_here = self.record.cleaned || self.record.rejected.is_some();
        self.record.deleted || self.record.removed && nothing_here
    }

    fn publish(&self) {
        let record = &self.record;
        let containers = record.containers.iter().filter_map(|(name, own)| {
            let instance = own.current.as_ref()?;
            Some(Newest {
                name: name.clone(),
                id: instance.id.clone(),
                attempt: instance.attempt,
                running: instance.is_running(),
            })
        });
        let snapshot = Snapshot {
            pod: record.pod.clone(),
            sandbox: record.sandbox.id().cloned(),
            containers: containers.collect(),
        };
        self.publish.send_replace(Arc::new(snapshot));
    }

    fn start(&mut self, action: Action, now: Timestamp) {
        let events = Events::about(&self.context.recorder, &self.record.pod);
        match &action {
            Action::TellBackOff { container } => return self.tell_back_off(&events, container),
            Action::TellImageBackOff { container } => return self.tell_image_back_off(&events, container),
            _ => {}
        }
        let Some(operation) = action.operation() else { return };
        if operation == Operation::Refresh {
            self.record.stale = false;
        }
        let deadline = match &action {
            Action::Kill { deadline, .. } => *deadline,
            _ => now,
        };
        let job = Job::new(&self.context, &self.record, &self.mailbox);
        let record = self.record.clone();
        self.record.in_flight.insert(operation.clone(), deadline);
        let mailbox = self.mailbox.clone();
        self.context.drivers.edge.tasks.spawn(async move {
            let outcome = job.run(action, &record).await;
            let _ = mailbox.send(Message::Done(operation, outcome));
        });
    }

    fn tell_back_off(&mut self, events: &Events, container: &str) {
        let message =
            format!("Back-off restarting failed container {container} in pod {}", self.record.pod.display());
        events.of(container).warning("BackOff", message);
        if let Some(own) = self.record.containers.get_mut(container) {
            own.told = own.current.as_ref().and_then(|one| one.exit.as_ref()).map(|exit| exit.finished);
        }
    }

    fn tell_image_back_off(&mut self, events: &Events, container: &str) {
        let image =
            self.record.pod.container(container).and_then(|(_, one)| one.image.clone()).unwrap_or_default();
        if let Some(own) = self.record.containers.get_mut(container)
            && let ImageStep::Failed(failure) = &mut own.image
        {
            let events = events.of(container);
            events.normal("BackOff", format!("Back-off pulling image {image:?}"));
            events.warning("Failed", "Error: ImagePullBackOff");
            failure.message =
                format!("Back-off pulling image {image:?}: {}: {}", failure.reason, failure.message);
            failure.reason = "ImagePullBackOff";
        }
    }

    async fn take(&mut self, message: Message) {
        let now = self.context.now();
        match message {
            Message::Object(pod) => self.take_object(pod),
            Message::Removed(pod) => {
                self.record.pod = pod;
                self.record.removed = true;
            }
            Message::Container(id) => self.look_at(&id).await,
            Message::SandboxGone => self.look_at_sandbox().await,
            Message::Relist => {
                let ids: Vec<_> = self.record.alive().map(|(_, instance)| instance.id.clone()).collect();
                for id in ids {
                    self.look_at(&id).await;
                }
                self.look_at_sandbox().await;
            }
            Message::Stale => {
                self.record.stale = true;
                self.retry_now();
            }
            Message::Created { container, instance } => {
                let id = instance.id.clone();
                self.take_instance(&container, *instance, now);
                // It may have ended before it was known here: that event was
                // about nobody, and there will be no other.
                self.look_at(&id).await;
            }
            Message::Condemned { container, id, condemned } => self.condemn(&container, &id, condemned),
            Message::Probe(report) => self.take_probe(report, now),
            Message::Done(operation, outcome) => {
                self.record.in_flight.remove(&operation);
                self.take_outcome(operation, outcome, now).await;
            }
            Message::Written { result, is_final } => self.take_written(result, is_final, now),
        }
    }

    /// What failed for want of an object is tried at once when that changes.
    fn retry_now(&mut self) {
        if matches!(self.record.volumes, Step::Failed(_)) {
            self.record.volumes = Step::Pending;
        }
        for own in self.record.containers.values_mut() {
            if own.failure.as_ref().is_some_and(|failure| failure.reason == "CreateContainerConfigError") {
                own.failure = None;
            }
        }
    }

    fn take_object(&mut self, pod: Arc<Pod>) {
        let version =
            |pod: &Pod| pod.metadata.resource_version.as_deref().and_then(|text| text.parse::<u64>().ok());
        // An echo of what a write has answered already.
        if version(&pod) < version(&self.record.pod) {
            return;
        }
        let shown = |pod: &Pod| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
        if shown(&pod) != shown(&self.record.pod) {
            self.record.stale = true;
        }
        self.record.pod = pod;
    }

    fn take_instance(&mut self, container: &str, instance: Instance, now: Timestamp) {
        let own = self.record.containers.entry(container.to_owned()).or_default();
        if let Some(exit) = own.current.take().and_then(|old| old.exit) {
            own.backoff.restarted(exit.finished, now);
            own.last = Some(exit);
        }
        own.restarts = instance.attempt;
        own.failure = None;
        if instance.exit.is_some() {
            own.image = ImageStep::Unknown;
        }
        own.current = Some(instance);
    }

    fn condemn(&mut self, container: &str, id: &ContainerId, condemned: Condemned) {
        let instance = self.record.containers.get_mut(container).and_then(|own| own.current.as_mut());
        if let Some(instance) = instance.filter(|instance| instance.id == *id && instance.is_alive()) {
            instance.condemned.get_or_insert(condemned);
        }
    }

    fn take_probe(&mut self, report: Report, now: Timestamp) {
        use crate::probes::Kind;
        let grace = report.grace_seconds.unwrap_or_else(|| self.record.pod.grace_seconds());
        let instance = self.record.containers.get_mut(&report.container).and_then(|own| own.current.as_mut());
        let Some(instance) = instance.filter(|instance| instance.id == report.id && instance.is_alive())
        else {
            return;
        };
        let kind = match (report.kind, report.healthy) {
            (Kind::Readiness, ready) => {
                instance.ready = ready;
                return;
            }
            (Kind::Startup, true) => {
                instance.startup_passed = true;
                return;
            }
            (Kind::Liveness, true) => return,
            (Kind::Startup, false) => "startup",
            (Kind::Liveness, false) => "liveness",
        };
        let message = format!("Container {} failed {kind} probe, will be restarted", report.container);
        let condemned = Condemned { message, grace_seconds: grace, since: now };
        self.condemn(&report.container, &report.id, condemned);
    }

    async fn take_outcome(&mut self, operation: Operation, outcome: Outcome, now: Timestamp) {
        let steps = (FIRST_STEP, LONGEST_STEP);
        match outcome {
            Outcome::Sandbox(Ok(made)) => self.take_sandbox(made),
            Outcome::Sandbox(Err(why)) => {
                let before = match &self.record.sandbox {
                    Sandbox::Failed(failure) => Some(failure.clone()),
                    _ => None,
                };
                let failure = Failure::after(before.as_ref(), steps, "FailedCreatePodSandBox", why, now);
                self.record.sandbox = Sandbox::Failed(failure);
            }
            Outcome::SandboxStopped(Ok(())) => {
                if let Some(id) = self.record.sandbox.id().cloned() {
                    self.record.sandbox = Sandbox::Stopped { id };
                }
            }
            Outcome::Volumes(Ok(renew)) => {
                self.record.volumes = Step::Done;
                self.record.refresh_at = renew;
            }
            Outcome::Volumes(Err(why)) if operation == Operation::Refresh => {
                tracing::warn!(
                    pod = self.record.pod.display(),
                    error = why,
                    "volumes will be refreshed later"
                );
                self.record.refresh_at = now.saturating_add(SignedDuration::from_secs(10)).ok();
            }
            Outcome::Volumes(Err(why)) => {
                let failure = Failure::after(self.record.volumes.failure(), steps, "FailedMount", why, now);
                self.record.volumes = Step::Failed(failure);
            }
            Outcome::Unmounted(Ok(())) => self.record.volumes = Step::Pending,
            Outcome::Image { container, result } => self.take_image(&container, result, now),
            Outcome::Started { container, result } => {
                let own = self.record.containers.entry(container).or_default();
                match result {
                    Ok(()) => own.failure = None,
                    Err(failure) => {
                        let pauses = if failure.ran { (SignedDuration::ZERO, LONGEST) } else { steps };
                        let next = Failure::after(
                            own.failure.as_ref(),
                            pauses,
                            failure.reason,
                            failure.message,
                            now,
                        );
                        own.failure = Some(next);
                    }
                }
            }
            Outcome::Killed { container } => {
                let id = self.record.instance(&container).map(|instance| instance.id.clone());
                if let Some(id) = id {
                    self.look_at(&id).await;
                }
            }
            Outcome::CleanedUp(Ok(())) => self.record.cleaned = true,
            Outcome::Deleted(Ok(())) => self.record.deleted = true,
            Outcome::SandboxStopped(Err(why))
            | Outcome::Unmounted(Err(why))
            | Outcome::CleanedUp(Err(why)) => {
                self.try_later(operation, why);
            }
            Outcome::Nothing => {}
            Outcome::Deleted(Err(error)) => self.try_later(operation, error.to_string()),
        }
    }

    /// Keeps the operation marked for a second, so that it is not planned in a
    /// tight circle.
    fn try_later(&mut self, operation: Operation, why: String) {
        tracing::warn!(pod = self.record.pod.display(), ?operation, error = why, "will be tried again");
        self.record.in_flight.insert(operation.clone(), Timestamp::MAX);
        let mailbox = self.mailbox.clone();
        self.context.drivers.edge.tasks.spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = mailbox.send(Message::Done(operation, Outcome::Nothing));
        });
    }

    fn take_sandbox(&mut self, made: super::act::NewSandbox) {
        let record = &mut self.record;
        record.sandboxes += 1;
        record.addresses = made.addresses;
        record.sandbox = Sandbox::Ready { id: made.id, namespace: made.namespace };
        let ephemeral: BTreeSet<String> =
            record.pod.ephemeral_containers().map(|container| container.name).collect();
        // Containers of an older sandbox are gone with it. Those for debugging
        // had their one run.
        for (_, own) in record.containers.iter_mut().filter(|(name, _)| !ephemeral.contains(*name)) {
            if let Some(old) = own.current.take() {
                own.last = old.exit.or(own.last.take());
            }
        }
    }

    fn take_image(
        &mut self,
        container: &str,
        result: Result<Arc<image::Image>, super::act::ImageFailure>,
        now: Timestamp,
    ) {
        let own = self.record.containers.entry(container.to_owned()).or_default();
        own.image = match result {
            Ok(image) => ImageStep::Present(image),
            Err(failure) => {
                let before = match &own.image {
                    ImageStep::Failed(failure) => Some(failure),
                    _ => None,
                };
                let next = Failure::after(before, (FIRST, LONGEST), failure.reason, failure.message, now);
                ImageStep::Failed(next)
            }
        };
    }

    async fn look_at(&mut self, id: &ContainerId) {
        let is_current = self.record.alive().any(|(_, instance)| instance.id == *id);
        if !is_current {
            return;
        }
        let status = self.context.drivers.runtime.status(id).await;
        match status {
            Ok(status) => {
                let name = status.config.name.clone();
                let pod = self.record.pod.clone();
                let container =
                    pod.container(&name).map(|(_, container)| container.into_owned()).unwrap_or_default();
                if let Some(own) = self.record.containers.get_mut(&name) {
                    note_exit(own, &pod, &container, &status);
                }
            }
            Err(error) => {
                tracing::warn!(pod = self.record.pod.display(), %error, "a container is lost");
                let now = self.context.now();
                for own in self.record.containers.values_mut() {
                    lose(own, id, now);
                }
            }
        }
    }

    async fn look_at_sandbox(&mut self) {
        let Sandbox::Ready { id, .. } = &self.record.sandbox else { return };
        let id = id.clone();
        let gone = match self.context.drivers.runtime.sandbox_status(&id).await {
            Ok(status) => status.state == runtime::SandboxState::NotReady,
            Err(_) => true,
        };
        if gone {
            let containers: Vec<_> = self.record.alive().map(|(_, instance)| instance.id.clone()).collect();
            for container in &containers {
                self.look_at(container).await;
            }
            let now = self.context.now();
            for own in self.record.containers.values_mut() {
                for container in &containers {
                    lose(own, container, now);
                }
            }
            self.record.sandbox = Sandbox::Dead { id };
        }
    }

    fn write_status(&mut self, now: Timestamp) {
        if self.record.removed || self.record.deleted || self.writing {
            return;
        }
        if self.write_again.is_some_and(|at| now < at) {
            return;
        }
        self.write_again = None;
        let wanted = status::status(&self.record, &self.context.config.addresses, now);
        let is_final = status::is_final(&self.record);
        let Some(patch) = status::patch(self.record.pod.status(), &wanted, self.record.pod.uid()) else {
            self.record.reported = is_final;
            return;
        };
        let body = match apimachinery::Value::from_serialize(&patch) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(pod = self.record.pod.display(), %error, "the status cannot be written as JSON");
                return;
            }
        };
        self.writing = true;
        self.record.reported = false;
        let api = self.context.pods(self.record.pod.namespace());
        let (name, mailbox) = (self.record.pod.name().to_owned(), self.mailbox.clone());
        self.context.drivers.edge.tasks.spawn(async move {
            let result = api.patch_status(&name, Patch::strategic(body)).await.map(|mut pod| {
                pod.metadata.managed_fields = None;
                Arc::new(pod)
            });
            let _ = mailbox.send(Message::Written { result, is_final });
        });
    }

    fn take_written(&mut self, result: Result<Arc<Pod>, Error>, is_final: bool, now: Timestamp) {
        self.writing = false;
        match result {
            Ok(pod) if pod.uid() == self.record.pod.uid() => {
                self.take_object(pod);
                self.record.reported = is_final;
            }
            Ok(_) => {}
            // The informer will say that it is gone.
            Err(error) if error.is_not_found() => self.write_again = now.saturating_add(WRITE_PAUSE).ok(),
            Err(error) => {
                tracing::warn!(pod = self.record.pod.display(), %error, "the pod's status will be written again");
                self.write_again = now.saturating_add(WRITE_PAUSE).ok();
            }
        }
    }
}

/// Takes over what the runtime says of the newest instance.
pub fn note_exit(
    own: &mut ContainerRecord,
    pod: &Pod,
    container: &k8s_openapi::api::core::v1::Container,
    status: &ContainerStatus,
) {
    let Some(instance) = own.current.as_mut().filter(|instance| instance.id == status.id) else { return };
    if status.state == ContainerState::Exited && instance.exit.is_none() {
        instance.exit = Some(read_exit(pod, container, status));
        instance.ready = false;
        own.image = ImageStep::Unknown;
    }
}

/// The runtime no longer knows the instance: how it ended cannot be learnt.
fn lose(own: &mut ContainerRecord, id: &ContainerId, now: Timestamp) {
    let Some(instance) = own.current.as_mut().filter(|instance| instance.id == *id && instance.is_alive())
    else {
        return;
    };
    instance.exit = Some(super::record::Exit {
        id: Some(id.clone()),
        code: 137,
        reason: "ContainerStatusUnknown".into(),
        message: "The container could not be located when the pod was terminated".into(),
        started: instance.started,
        finished: now,
    });
    instance.ready = false;
    own.image = ImageStep::Unknown;
}
