//! Doing what was planned. Each action works on a copy of what it needs and
//! ends in an [`Outcome`], which the worker takes over into the record.

mod cleanup;
mod hook;
mod image;
mod kill;
mod sandbox;
mod start;
mod volumes;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use runtime::{ContainerId, SandboxId};

use super::events::Events;
use super::record::{Instance, PodRecord};
use super::spec::PodExt;
use super::state::Action;
use super::worker::{Mailbox, Message};
use crate::context::Context;

pub use start::read_exit;

/// What an action ended with.
#[derive(Debug)]
pub enum Outcome {
    Sandbox(Result<NewSandbox, String>),
    SandboxStopped(Result<(), String>),
    /// When the next token must be renewed.
    Volumes(Result<Option<Timestamp>, String>),
    Unmounted(Result<(), String>),
    Image {
        container: String,
        result: Result<Arc<::image::Image>, ImageFailure>,
    },
    Started {
        container: String,
        result: Result<(), StartFailure>,
    },
    Killed {
        container: String,
    },
    CleanedUp(Result<(), String>),
    Deleted(Result<(), client::Error>),
    /// Only the mark of the operation goes.
    Nothing,
}

#[derive(Debug)]
pub struct NewSandbox {
    pub id: SandboxId,
    pub namespace: Option<PathBuf>,
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug)]
pub struct ImageFailure {
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug)]
pub struct StartFailure {
    pub reason: &'static str,
    pub message: String,
    /// The container was made: its failed start counts as a run.
    pub ran: bool,
}

/// One action with all that it needs.
pub struct Job {
    pub context: Arc<Context>,
    pub pod: Arc<Pod>,
    pub events: Events,
    pub mailbox: Mailbox,
    pub addresses: Vec<IpAddr>,
    pub sandbox: Option<SandboxId>,
    pub sandboxes: u32,
    /// Containers of the pod that the runtime may still know.
    pub containers: Vec<ContainerId>,
}

impl Job {
    pub fn new(context: &Arc<Context>, record: &PodRecord, mailbox: &Mailbox) -> Self {
        let containers = record.containers.values().flat_map(|own| {
            let current = own.current.as_ref().map(|instance| instance.id.clone());
            current.into_iter().chain(own.last.as_ref().and_then(|exit| exit.id.clone()))
        });
        Self {
            context: context.clone(),
            pod: record.pod.clone(),
            events: Events::about(&context.recorder, &record.pod),
            mailbox: mailbox.clone(),
            addresses: record.addresses.clone(),
            sandbox: record.sandbox.id().cloned(),
            sandboxes: record.sandboxes,
            containers: containers.collect(),
        }
    }

    /// Runs `action`; `record` is as it was when the action was planned.
    pub async fn run(self, action: Action, record: &PodRecord) -> Outcome {
        let own = |container: &str| record.containers.get(container).cloned().unwrap_or_default();
        match action {
            Action::CreateSandbox => Outcome::Sandbox(self.create_sandbox().await),
            Action::StopSandbox => Outcome::SandboxStopped(self.stop_sandbox().await),
            Action::MountVolumes | Action::RefreshVolumes => Outcome::Volumes(self.set_up_volumes().await),
            Action::UnmountVolumes => Outcome::Unmounted(self.tear_down_volumes().await),
            Action::EnsureImage { container } => {
                let result = self.ensure_image(&container).await;
                Outcome::Image { container, result }
            }
            Action::Start { container } => {
                let target = target(record, &container);
                let result = self.start(&container, own(&container), target).await;
                Outcome::Started { container, result }
            }
            Action::Kill { container, deadline, message } => {
                let again = record.is_doing(&super::record::Operation::Kill(container.clone()));
                if let Some(instance) = own(&container).current {
                    self.kill(&container, &instance, deadline, &message, again).await;
                }
                Outcome::Killed { container }
            }
            Action::Cleanup => Outcome::CleanedUp(self.clean_up().await),
            Action::Delete => Outcome::Deleted(self.delete().await),
            // The worker tells by itself, at once.
            Action::TellBackOff { .. } | Action::TellImageBackOff { .. } => Outcome::Nothing,
        }
    }

    fn tell_started(&self, container: &str, instance: Instance) {
        // The worker is there as long as the pod is.
        let _ = self
            .mailbox
            .send(Message::Created { container: container.to_owned(), instance: Box::new(instance) });
    }
}

/// Whose processes a container is to see beside its own, for `kubectl debug
/// --target`: the name, and the instance if it runs.
pub struct Target {
    pub name: String,
    pub instance: Option<ContainerId>,
}

fn target(record: &PodRecord, container: &str) -> Option<Target> {
    let mut ephemeral = record.pod.spec().ephemeral_containers.iter().flatten();
    let found = ephemeral.find(|one| one.name == container)?;
    let name = found.target_container_name.clone().filter(|name| !name.is_empty())?;
    let instance = record.instance(&name).filter(|instance| instance.is_running());
    Some(Target { instance: instance.map(|instance| instance.id.clone()), name })
}
