//! What the kubelet knows of one pod: the object as the API has it, and what
//! is really there on the node. Data only; [`super::state`] decides by it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use image::Image;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerUser, Pod};
use runtime::{ContainerId, SandboxId};

use super::backoff::{Failure, Restarts};
use super::spec::PodExt;

/// Everything that a step of the pod's life is decided by.
#[derive(Clone, Debug)]
pub struct PodRecord {
    /// The last state that the API published.
    pub pod: Arc<Pod>,
    /// The object is gone from the API; what runs must end.
    pub removed: bool,
    /// Set when the node refuses the pod: nothing of it ever runs.
    pub rejected: Option<Verdict>,
    /// Set when the node ends the pod (deadline, eviction).
    pub ended: Option<Verdict>,
    /// `status.startTime`: when the kubelet first saw it.
    pub started: Timestamp,
    pub sandbox: Sandbox,
    /// How many sandboxes the pod has had.
    pub sandboxes: u32,
    /// `status.podIPs`; kept after the end.
    pub addresses: Vec<IpAddr>,
    pub volumes: Step,
    /// Something that the volumes show has changed.
    pub stale: bool,
    /// When a token must be renewed.
    pub refresh_at: Option<Timestamp>,
    pub containers: BTreeMap<String, ContainerRecord>,
    /// Set when the pod began to be stopped.
    pub stopping: Option<Stopping>,
    /// Containers, sandbox, volumes and directories are gone.
    pub cleaned: bool,
    /// The API object was deleted by us.
    pub deleted: bool,
    /// A status with all containers ended is in the API.
    pub reported: bool,
    /// What is being done right now.
    pub in_flight: BTreeMap<Operation, Timestamp>,
}

/// Why a pod was refused or ended: reason and message of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: String,
    pub message: String,
}

/// When the stop began and how much grace it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    pub since: Timestamp,
    pub deadline: Timestamp,
}

/// Work that runs at most once at a time; the value beside it in
/// [`PodRecord::in_flight`] is its deadline, where it has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Sandbox,
    StopSandbox,
    Volumes,
    Refresh,
    Unmount,
    Image(String),
    Start(String),
    Kill(String),
    Cleanup,
    Delete,
}

/// A step with nothing to tell but whether it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Step {
    #[default]
    Pending,
    Done,
    Failed(Failure),
}

impl Step {
    pub fn is_done(&self) -> bool {
        *self == Step::Done
    }

    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Step::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The pod's sandbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sandbox {
    #[default]
    None,
    Ready {
        id: SandboxId,
        namespace: Option<PathBuf>,
    },
    /// It is there but cannot run containers any more.
    Dead {
        id: SandboxId,
    },
    /// It was stopped because the pod has ended.
    Stopped {
        id: SandboxId,
    },
    Failed(Failure),
}

impl Sandbox {
    pub fn id(&self) -> Option<&SandboxId> {
        match self {
            Sandbox::Ready { id, .. } | Sandbox::Dead { id } | Sandbox::Stopped { id } => Some(id),
            Sandbox::None | Sandbox::Failed(_) => None,
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self, Sandbox::Ready { .. })
    }
}

/// One container of the pod, over all its restarts.
#[derive(Clone, Debug, Default)]
pub struct ContainerRecord {
    pub image: ImageStep,
    /// The newest instance.
    pub current: Option<Instance>,
    /// How the instance before it ended.
    pub last: Option<Exit>,
    /// `restartCount`.
    pub restarts: u32,
    pub backoff: Restarts,
    /// The exit whose back-off was told in an event.
    pub told: Option<Timestamp>,
    /// Why the next instance could not be made.
    pub failure: Option<Failure>,
}

/// Whether the container's image is on the node.
#[derive(Clone, Debug, Default)]
pub enum ImageStep {
    #[default]
    Unknown,
    Present(Arc<Image>),
    Failed(Failure),
}

/// One run of a container.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: ContainerId,
    pub attempt: u32,
    /// `imageID` of the status.
    pub image_id: String,
    /// `image` of the status.
    pub image: String,
    /// None until the command was executed.
    pub started: Option<Timestamp>,
    pub exit: Option<Exit>,
    /// Its startup probe succeeded, or it has none.
    pub startup_passed: bool,
    /// Its readiness probe's last word; true without a probe.
    pub ready: bool,
    /// Set when it must be ended though the pod goes on.
    pub condemned: Option<Condemned>,
    /// Who its first process is.
    pub user: Option<ContainerUser>,
}

impl Instance {
    pub fn is_running(&self) -> bool {
        self.started.is_some() && self.exit.is_none()
    }

    /// It has not ended: it runs, or it was created and will run.
    pub fn is_alive(&self) -> bool {
        self.exit.is_none()
    }
}

/// Why and how a container is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    /// Text of the Killing event.
    pub message: String,
    pub grace_seconds: i64,
    pub since: Timestamp,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub id: Option<ContainerId>,
    pub code: i32,
    pub reason: String,
    pub message: String,
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
}

impl PodRecord {
    /// A pod that was just bound to the node.
    pub fn new(pod: Arc<Pod>, now: Timestamp) -> Self {
        let started = pod.status().start_time.as_ref().map_or(now, |time| time.0);
        let containers =
            pod.containers().map(|(_, one)| (one.name.clone(), ContainerRecord::default())).collect();
        Self {
            pod,
            removed: false,
            rejected: None,
            ended: None,
            started,
            sandbox: Sandbox::None,
            sandboxes: 0,
            addresses: Vec::new(),
            volumes: Step::Pending,
            stale: false,
            refresh_at: None,
            containers,
            stopping: None,
            cleaned: false,
            deleted: false,
            reported: false,
            in_flight: BTreeMap::new(),
        }
    }

    pub fn instance(&self, container: &str) -> Option<&Instance> {
        self.containers.get(container)?.current.as_ref()
    }

    pub fn is_doing(&self, operation: &Operation) -> bool {
        self.in_flight.contains_key(operation)
    }

    /// Containers that have not ended.
    pub fn alive(&self) -> impl Iterator<Item = (&str, &Instance)> {
        self.containers.iter().filter_map(|(name, record)| {
            record
                .current
                .as_ref()
                .filter(|instance| instance.is_alive())
                .map(|instance| (name.as_str(), instance))
        })
    }
}
