//! The embedded runtime: [`Runtime`] over shims.
//!
//! The state directory is the truth; what is kept in memory is a view of it
//! that shims' events keep current. After a restart [`Embedded::open`] connects
//! to every shim again and reads what happened meanwhile.

mod adopt;
mod link;
mod streaming;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use edge::Edge;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, watch};

use crate::cgroup::{Cgroup, Layout, layout};
use crate::protocol::{Exit, Reply, Request, Setup, ShimEvent, Start, VERSION};
use crate::shim::namespaces;
use crate::spawner::Spawner;
use crate::spec::{SandboxPaths, Surround, device_rules, specification};
use crate::state::{self, ContainerRecord, SandboxDir, SandboxRecord};
use crate::{
    AttachOptions, ContainerConfig, ContainerId, ContainerState, ContainerStatus, Error, Event, ExecOptions,
    ExecOutput, Resources, Result, Runtime, Sandbox, SandboxConfig, SandboxId, SandboxState, SandboxStatus,
    Stats, Streams, capabilities,
};
use link::Link;

/// Events that a slow receiver may fall behind by.
const EVENTS: usize = 1024;
/// Size of a pod's /dev/shm, as containerd's.
const SHARED_MEMORY: u64 = 64 << 20;
/// How long a killed container may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// libcontainer behind one shim a pod.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    state: PathBuf,
    spawner: Spawner,
    edge: Edge,
    events: broadcast::Sender<Event>,
    sandboxes: Mutex<BTreeMap<SandboxId, Arc<Handle>>>,
    capabilities: capabilities::Set,
}

/// A sandbox as the program holds it.
struct Handle {
    id: SandboxId,
    directory: SandboxDir,
    config: SandboxConfig,
    created_at: i64,
    live: Mutex<Live>,
}

struct Live {
    state: SandboxState,
    /// The shim is being ended on purpose.
    removing: bool,
    containers: BTreeMap<ContainerId, Entry>,
}

struct Entry {
    config: ContainerConfig,
    created_at: i64,
    started_at: i64,
    pid: i32,
    exit: Option<Exit>,
    /// Becomes true when the container has exited.
    exited: watch::Sender<bool>,
}

impl Entry {
    fn new(record: ContainerRecord) -> Self {
        Self {
            config: record.config,
            created_at: record.created_at,
            started_at: 0,
            pid: 0,
            exit: None,
            exited: watch::Sender::new(false),
        }
    }

    fn ended(&mut self, exit: Exit) {
        self.pid = 0;
        if exit.started_at != 0 {
            self.started_at = exit.started_at;
        }
        self.exit = Some(exit);
        self.exited.send_replace(true);
    }
}

impl Embedded {
    /// Opens (or makes) the state directory and adopts what runs: containers
    /// of an earlier program are neither stopped nor restarted.
    pub async fn open(state: PathBuf, spawner: Spawner, edge: Edge) -> Result<Self> {
        fs::create_dir_all(state.join("sandboxes"))
            .map_err(Error::io(format!("make {}", state.display())))?;
        let inner = Arc::new(Inner {
            state,
            spawner,
            edge,
            events: broadcast::channel(EVENTS).0,
            sandboxes: Mutex::default(),
            capabilities: capabilities::available(),
        });
        adopt::adopt(&inner).await?;
        Ok(Self { inner })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.inner.edge.tasks.spawn_blocking(work).await {
            Some(done) => done,
            None => Err(Error::System("the runtime is being stopped".into())),
        }
    }

    fn handle(&self, id: &SandboxId) -> Result<Arc<Handle>> {
        self.inner.sandboxes.lock().get(id).cloned().ok_or_else(|| Error::no_sandbox(id))
    }

    /// The sandbox that has the container.
    fn holder(&self, id: &ContainerId) -> Result<Arc<Handle>> {
        let sandboxes = self.inner.sandboxes.lock();
        sandboxes
            .values()
            .find(|handle| handle.live.lock().containers.contains_key(id))
            .cloned()
            .ok_or_else(|| Error::no_container(id))
    }
}

impl Inner {
    fn now(&self) -> i64 {
        i64::try_from(self.edge.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// Follows a shim's events until it is gone.
    fn follow(self: &Arc<Self>, handle: &Arc<Handle>, mut link: Link) {
        let (inner, handle) = (self.clone(), handle.clone());
        self.edge.tasks.spawn(async move {
            while let Ok(reply) = link.receive().await {
                if let Reply::Event(event) = reply {
                    inner.happened(&handle, event);
                }
            }
            inner.shim_gone(&handle).await;
        });
    }

    fn happened(&self, handle: &Handle, event: ShimEvent) {
        let sandbox = handle.id.clone();
        let mut live = handle.live.lock();
        let event = match event {
            ShimEvent::Started { id, pid, started_at } => {
                if let Some(entry) = live.containers.get_mut(&id) {
                    (entry.pid, entry.started_at) = (pid, started_at);
                }
                Event::ContainerStarted { sandbox, id }
            }
            ShimEvent::Exited { id, exit } => {
                let (exit_code, oom_killed) = (exit.exit_code, exit.oom_killed);
                if let Some(entry) = live.containers.get_mut(&id) {
                    entry.ended(exit);
                }
                Event::ContainerExited { sandbox, id, exit_code, oom_killed }
            }
            ShimEvent::OutOfMemory { id } => Event::OutOfMemory { sandbox, id },
        };
        drop(live);
        let _ = self.events.send(event);
    }

    /// The shim has ended: on purpose, or it was killed. Then nobody reaps or
    /// logs its containers any more, so they are ended too.
    async fn shim_gone(self: &Arc<Self>, handle: &Arc<Handle>) {
        if handle.live.lock().removing {
            return;
        }
        let (inner, clone) = (self.clone(), handle.clone());
        self.edge.tasks.spawn_blocking(move || adopt::clean_after_shim(&inner, &clone)).await;
    }
}

impl Handle {
    async fn link(&self) -> Result<Link> {
        Link::connect(self.directory.path())
            .await
            .map_err(|e| Error::ShimGone { sandbox: self.id.to_string(), message: e.to_string() })
    }

    async fn call(&self, request: &Request) -> Result<Reply> {
        let gone = |e: io::Error| Error::ShimGone { sandbox: self.id.to_string(), message: e.to_string() };
        self.link().await?.call(request).await.map_err(gone)
    }

    /// Ends the shim and waits until it is gone.
    async fn shut_down(&self) -> Result<Reply> {
        let gone = |e: io::Error| Error::ShimGone { sandbox: self.id.to_string(), message: e.to_string() };
        let mut link = self.link().await?;
        let reply = link.call(&Request::Shutdown).await.map_err(gone)?;
        if matches!(reply, Reply::Done) {
            // Its end closes the connection.
            let _ = tokio::time::timeout(KILL_WAIT, link.receive()).await;
        }
        Ok(reply)
    }

    fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::new(&self.config.cgroup_parent).map_err(|e| Error::Invalid(e.to_string()))
    }

    fn container_cgroup(&self, id: &ContainerId) -> Result<Cgroup> {
        Ok(self.cgroup()?.child(id.as_str()))
    }

    fn network_namespace(&self, state: SandboxState) -> Option<PathBuf> {
        (!self.config.host_network && state == SandboxState::Ready)
            .then(|| self.directory.namespaces().join("net"))
    }

    fn status(&self) -> SandboxStatus {
        let live = self.live.lock();
        let mut containers: Vec<ContainerStatus> =
            live.containers.iter().map(|(id, entry)| self.container_status(id, entry)).collect();
        containers.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        SandboxStatus {
            id: self.id.clone(),
            config: self.config.clone(),
            state: live.state,
            created_at: self.created_at,
            network_namespace: self.network_namespace(live.state),
            containers,
        }
    }

    fn container_status(&self, id: &ContainerId, entry: &Entry) -> ContainerStatus {
        let state = match (&entry.exit, entry.pid) {
            (Some(_), _) => ContainerState::Exited,
            (None, 0) => ContainerState::Created,
            (None, _) => ContainerState::Running,
        };
        let exit = entry.exit.as_ref();
        ContainerStatus {
            id: id.clone(),
            sandbox: self.id.clone(),
            config: entry.config.clone(),
            state,
            created_at: entry.created_at,
            started_at: entry.started_at,
            finished_at: exit.map_or(0, |e| e.finished_at),
            exit_code: exit.map_or(0, |e| e.exit_code),
            reason: exit.map(exit_reason).unwrap_or_default(),
            message: exit.map(|e| e.message.clone()).unwrap_or_default(),
            pid: entry.pid,
            log_path: self.log_path(&entry.config),
        }
    }

    fn log_path(&self, config: &ContainerConfig) -> Option<PathBuf> {
        (!config.log_path.as_os_str().is_empty()).then(|| self.config.log_directory.join(&config.log_path))
    }

    /// Waits until the container has exited; at once when it never ran.
    async fn wait_exit(&self, id: &ContainerId, most: Duration) -> bool {
        let Some(mut exited) = self.live.lock().containers.get(id).map(|entry| entry.exited.subscribe())
        else {
            return true;
        };
        tokio::time::timeout(most, exited.wait_for(|exited| *exited)).await.is_ok()
    }

    fn running(&self, id: &ContainerId) -> Result<bool> {
        let live = self.live.lock();
        let entry = live.containers.get(id).ok_or_else(|| Error::no_container(id))?;
        Ok(entry.exit.is_none() && entry.pid != 0)
    }

    async fn kill(&self, id: &ContainerId) -> Result<()> {
        self.call(&Request::Signal { id: id.clone(), signal: libc::SIGKILL, all: true }).await?;
        if self.wait_exit(id, KILL_WAIT).await {
            return Ok(());
        }
        Err(Error::System(format!(
            "container {id} does not end although it was killed; a process of it may hang in the kernel"
        )))
    }

    /// Marks a container that could not be started, on disk and here.
    fn start_failed(&self, id: &ContainerId, message: &str, now: i64) {
        let exit = Exit {
            exit_code: 128,
            started_at: 0,
            finished_at: now,
            oom_killed: false,
            reason: "StartError".into(),
            message: message.to_owned(),
        };
        let _ = state::write(&self.directory.container(id).exit(), &exit);
        if let Some(entry) = self.live.lock().containers.get_mut(id) {
            entry.ended(exit);
        }
    }
}

/// The reason that CRI gives for an exit.
fn exit_reason(exit: &Exit) -> String {
    match exit {
        Exit { reason, .. } if !reason.is_empty() => reason.clone(),
        Exit { oom_killed: true, .. } => "OOMKilled".into(),
        Exit { exit_code: 0, .. } => "Completed".into(),
        _ => "Error".into(),
    }
}

/// A signal by name (with or without SIG) or number.
fn signal_number(signal: Option<&str>) -> Result<i32> {
    let Some(text) = signal.filter(|text| !text.is_empty()) else { return Ok(libc::SIGTERM) };
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64)
            .contains(&number)
            .then_some(number)
            .ok_or_else(|| Error::Invalid(format!("no signal has the number {number}")));
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    if let Some(offset) =
        name.strip_prefix("SIGRTMIN").map(|rest| rest.trim_start_matches('+').parse::<i32>().unwrap_or(0))
    {
        return Ok(libc::SIGRTMIN() + offset.clamp(0, libc::SIGRTMAX() - libc::SIGRTMIN()));
    }
    if let Some(offset) =
        name.strip_prefix("SIGRTMAX").map(|rest| rest.trim_start_matches('-').parse::<i32>().unwrap_or(0))
    {
        return Ok(libc::SIGRTMAX() - offset.clamp(0, libc::SIGRTMAX() - libc::SIGRTMIN()));
    }
    name.parse::<nix::sys::signal::Signal>()
        .map(|signal| signal as i32)
        .map_err(|_| Error::Invalid(format!("no signal is named {text:?}")))
}

/// Sysctls of a pod: what containerd sets for pods with a network of their own
/// (any port and ping without privileges), then what the pod wants.
fn sysctls(config: &SandboxConfig) -> Vec<(String, String)> {
    let mut all = BTreeMap::new();
    if !config.host_network {
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        all.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    all.extend(config.sysctls.clone());
    all.into_iter().collect()
}

/// Removes a control group whose processes were killed; they need a moment.
async fn remove_group(group: &Cgroup) -> Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match group.remove() {
            Ok(()) => return Ok(()),
            Err(error) if pause > Duration::from_secs(1) => {
                return Err(Error::System(format!("remove the control group {}: {error}", group.path())));
            }
            Err(_) => {
                let _ = group.kill(1);
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

#[async_trait]
impl Runtime for Embedded {
    async fn run_sandbox(&self, config: SandboxConfig) -> Result<Sandbox> {
        let id = SandboxId::random(&*self.inner.edge.random);
        let directory = SandboxDir::new(&self.inner.state, &id);
        let created_at = self.inner.now();
        let handle = Arc::new(Handle {
            id: id.clone(),
            directory,
            config,
            created_at,
            live: Mutex::new(Live {
                state: SandboxState::Ready,
                removing: false,
                containers: BTreeMap::new(),
            }),
        });
        let prepared = handle.clone();
        let prepare = self.blocking(move || {
            let Handle { directory, config, created_at, .. } = &*prepared;
            let group = prepared.cgroup()?;
            fs::create_dir_all(directory.containers())
                .map_err(Error::io(format!("make {}", directory.path().display())))?;
            let record = SandboxRecord { config: config.clone(), created_at: *created_at };
            state::write(&directory.record(), &record).map_err(Error::io("write the sandbox's record"))?;
            if !config.log_directory.as_os_str().is_empty() {
                fs::create_dir_all(&config.log_directory)
                    .map_err(Error::io(format!("make {}", config.log_directory.display())))?;
            }
            group
                .create()
                .and_then(|()| group.limit(&config.resources))
                .map_err(Error::io("make the pod's control group"))
        });
        let started = async {
            prepare.await?;
            let link = self.start_shim(&handle).await?;
            self.inner.sandboxes.lock().insert(id.clone(), handle.clone());
            self.inner.follow(&handle, link);
            Ok(())
        };
        if let Err(error) = started.await {
            let failed = handle.clone();
            let _ = self
                .blocking(move || {
                    let _ = namespaces::release(&failed.directory);
                    let _ = failed.cgroup().map(|group| group.remove());
                    let _ = fs::remove_dir_all(failed.directory.path());
                    Ok(())
                })
                .await;
            return Err(error);
        }
        Ok(Sandbox { id, network_namespace: handle.network_namespace(SandboxState::Ready), created_at })
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let handle = match self.handle(id) {
            Err(Error::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        if handle.live.lock().state == SandboxState::NotReady {
            return Ok(());
        }
        match handle.call(&Request::Stop).await {
            Ok(Reply::Failed { message }) => return Err(Error::System(message)),
            Ok(_) => {}
            Err(Error::ShimGone { .. }) => self.inner.shim_gone(&handle).await,
            Err(error) => return Err(error),
        }
        let _ = fs::write(handle.directory.stopped(), b"");
        handle.live.lock().state = SandboxState::NotReady;
        Ok(())
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        let handle = match self.handle(id) {
            Err(Error::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        handle.live.lock().removing = true;
        match handle.shut_down().await {
            Ok(Reply::Failed { message }) => return Err(Error::System(message)),
            // The shim may end before its last answer is read.
            Ok(_) | Err(Error::ShimGone { .. }) => {}
            Err(error) => return Err(error),
        }
        remove_group(&handle.cgroup()?).await?;
        let gone = handle.clone();
        self.blocking(move || {
            namespaces::release(&gone.directory).map_err(Error::System)?;
            gone.directory.remove().map_err(Error::io("remove the sandbox's state"))
        })
        .await?;
        self.inner.sandboxes.lock().remove(id);
        for entry in handle.live.lock().containers.values() {
            entry.exited.send_replace(true);
        }
        Ok(())
    }

    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId> {
        let handle = self.handle(sandbox)?;
        if handle.live.lock().state == SandboxState::NotReady {
            return Err(Error::Precondition(format!("sandbox {sandbox} is not ready")));
        }
        let id = config.id.clone().unwrap_or_else(|| ContainerId::random(&*self.inner.edge.random));
        if self.holder(&id).is_ok() {
            return Err(Error::Precondition(format!("container {id} exists")));
        }
        let target = match &config.process_namespace_of {
            None => None,
            Some(target) => {
                let live = handle.live.lock();
                let entry = live.containers.get(target).ok_or_else(|| Error::no_container(target))?;
                if entry.pid == 0 || entry.exit.is_some() {
                    return Err(Error::Precondition(format!("container {target} is not running")));
                }
                Some(entry.pid)
            }
        };
        let record = ContainerRecord { config, created_at: self.inner.now() };
        let (made, capabilities, named, kept) =
            (handle.clone(), self.inner.capabilities, id.clone(), record.clone());
        self.blocking(move || {
            let namespaces = made.directory.namespaces();
            let shared_memory = made.directory.shared_memory();
            let group = made.container_cgroup(&named)?;
            let around = Surround {
                sandbox: &made.config,
                paths: SandboxPaths { namespaces: &namespaces, shared_memory: &shared_memory },
                cgroup: group.path(),
                capabilities,
                unified: layout() == &Layout::Unified,
                target,
            };
            let specification = specification(&kept.config, &around)?;
            let directory = made.directory.container(&named);
            let write = || {
                fs::create_dir_all(directory.path())?;
                fs::write(directory.specification(), serde_json::to_vec(&specification)?)?;
                state::write(&directory.record(), &kept)
            };
            write().map_err(Error::io("write the container's record"))
        })
        .await?;
        handle.live.lock().containers.insert(id.clone(), Entry::new(record));
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let handle = self.holder(id)?;
        let config = {
            let live = handle.live.lock();
            let entry = live.containers.get(id).ok_or_else(|| Error::no_container(id))?;
            if entry.exit.is_some() || entry.pid != 0 {
                return Err(Error::Precondition(format!("container {id} was started before")));
            }
            entry.config.clone()
        };
        let group = handle.container_cgroup(id)?;
        let request = Request::Start(Start {
            id: id.clone(),
            cgroup: group.path().to_owned(),
            tty: config.tty,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            log: handle.log_path(&config),
            oom_score_adj: config.resources.oom_score_adj,
            shares_processes: handle.config.share_process_namespace
                || handle.config.host_pid
                || config.process_namespace_of.is_some(),
        });
        let limited = self
            .blocking(move || {
                let rules = device_rules(&config)?;
                group
                    .create()
                    .and_then(|()| group.limit(&config.resources))
                    .and_then(|()| group.allow_devices(&rules))
                    .map_err(Error::io("make the container's control group"))
            })
            .await;
        let reply = match limited {
            Ok(()) => handle.call(&request).await?,
            Err(error) => Reply::StartFailed { message: error.to_string() },
        };
        match reply {
            Reply::Started { pid, started_at } => {
                if let Some(entry) =
                    handle.live.lock().containers.get_mut(id).filter(|entry| entry.exit.is_none())
                {
                    (entry.pid, entry.started_at) = (pid, started_at);
                }
                Ok(())
            }
            Reply::StartFailed { message } | Reply::Failed { message } => {
                handle.start_failed(id, &message, self.inner.now());
                Err(Error::Start { reason: "StartError", message, exit_code: 128 })
            }
            other => Err(Error::System(format!("the shim answered {other:?} to a start"))),
        }
    }

    async fn stop_container(&self, id: &ContainerId, signal: Option<&str>, grace: Duration) -> Result<()> {
        let signal = signal_number(signal)?;
        let handle = match self.holder(id) {
            Err(Error::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        if !handle.running(id)? {
            return Ok(());
        }
        if !grace.is_zero() {
            handle.call(&Request::Signal { id: id.clone(), signal, all: false }).await?;
            if handle.wait_exit(id, grace).await {
                return Ok(());
            }
        }
        handle.kill(id).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let handle = match self.holder(id) {
            Err(Error::NotFound { .. }) => return Ok(()),
            other => other?,
        };
        if handle.running(id)? {
            handle.kill(id).await?;
        }
        match handle.call(&Request::Forget { id: id.clone() }).await {
            Ok(Reply::Failed { message }) => return Err(Error::Precondition(message)),
            Ok(_) | Err(Error::ShimGone { .. }) => {}
            Err(error) => return Err(error),
        }
        remove_group(&handle.container_cgroup(id)?).await?;
        let (gone, named) = (handle.clone(), id.clone());
        self.blocking(move || {
            let _ = fs::remove_dir_all(gone.directory.oci().join(named.as_str()));
            fs::remove_dir_all(gone.directory.container(&named).path())
                .map_err(Error::io("remove the container's state"))
        })
        .await?;
        handle.live.lock().containers.remove(id);
        Ok(())
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<()> {
        let handle = self.holder(id)?;
        let (group, resources) = (handle.container_cgroup(id)?, resources.clone());
        self.blocking(move || group.limit(&resources).map_err(Error::io("change the container's limits")))
            .await
    }

    async fn update_sandbox_resources(&self, id: &SandboxId, resources: &Resources) -> Result<()> {
        let (group, resources) = (self.handle(id)?.cgroup()?, resources.clone());
        self.blocking(move || group.limit(&resources).map_err(Error::io("change the pod's limits"))).await
    }

    async fn list(&self) -> Result<Vec<SandboxStatus>> {
        let handles: Vec<Arc<Handle>> = self.inner.sandboxes.lock().values().cloned().collect();
        let mut all: Vec<SandboxStatus> = handles.iter().map(|handle| handle.status()).collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(all)
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus> {
        Ok(self.handle(id)?.status())
    }

    async fn status(&self, id: &ContainerId) -> Result<ContainerStatus> {
        let handle = self.holder(id)?;
        let live = handle.live.lock();
        let entry = live.containers.get(id).ok_or_else(|| Error::no_container(id))?;
        Ok(handle.container_status(id, entry))
    }

    async fn exec_sync(&self, id: &ContainerId, command: &[String], timeout: Duration) -> Result<ExecOutput> {
        let link = self.holder(id)?.link().await?;
        streaming::exec_sync(link, id, command, timeout).await
    }

    async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<Streams> {
        let link = self.holder(id)?.link().await?;
        streaming::exec(link, id, options, &self.inner.edge.tasks).await
    }

    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Streams> {
        let link = self.holder(id)?.link().await?;
        streaming::attach(link, id, options, &self.inner.edge.tasks).await
    }

    async fn connect(&self, id: &SandboxId, port: u16) -> Result<tokio::net::TcpStream> {
        let handle = self.handle(id)?;
        let state = handle.live.lock().state;
        if state == SandboxState::NotReady {
            return Err(Error::Precondition(format!("sandbox {id} is not ready")));
        }
        let namespace = handle.network_namespace(state);
        let (done, connected) = tokio::sync::oneshot::channel();
        // A thread of its own: it stays in the pod's namespace until it ends.
        std::thread::Builder::new()
            .name("port-forward".into())
            .spawn(move || {
                let _ = done.send(dial(namespace.as_deref(), port));
            })
            .map_err(Error::io("start a thread"))?;
        let stream = connected.await.map_err(|_| Error::System("the connecting thread has ended".into()))?;
        let stream = stream.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Error::System(format!("dial tcp localhost:{port}: connect: connection refused"))
            }
            _ => Error::System(format!("dial tcp localhost:{port}: {error}")),
        })?;
        tokio::net::TcpStream::from_std(stream).map_err(Error::io("socket"))
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        match self.holder(id)?.call(&Request::ReopenLog { id: id.clone() }).await? {
            Reply::Failed { message } => Err(Error::System(message)),
            Reply::NotFound => Err(Error::Precondition(format!("container {id} was not started"))),
            _ => Ok(()),
        }
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        let group = self.holder(id)?.container_cgroup(id)?;
        let timestamp = self.inner.now();
        self.blocking(move || Ok(Stats { timestamp, ..group.stats() })).await
    }

    async fn sandbox_stats(&self, id: &SandboxId) -> Result<Stats> {
        let group = self.handle(id)?.cgroup()?;
        let timestamp = self.inner.now();
        self.blocking(move || Ok(Stats { timestamp, ..group.stats() })).await
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }
}

impl Embedded {
    /// Forks the sandbox's shim and has it make the namespaces.
    async fn start_shim(&self, handle: &Handle) -> Result<Link> {
        let (ours, theirs) =
            std::os::unix::net::UnixStream::pair().map_err(Error::io("socket pair for a shim"))?;
        ours.set_nonblocking(true).map_err(Error::io("socket pair for a shim"))?;
        self.inner.spawner.shim(handle.directory.path(), theirs.as_fd())?;
        drop(theirs);
        let mut link = Link::new(UnixStream::from_std(ours).map_err(Error::io("socket pair for a shim"))?);
        let gone = |_: io::Error| {
            let log = fs::read_to_string(handle.directory.path().join("shim.log")).unwrap_or_default();
            Error::ShimGone {
                sandbox: handle.id.to_string(),
                message: if log.is_empty() { "it could not be forked".into() } else { log.trim().to_owned() },
            }
        };
        let setup = Setup {
            hostname: handle.config.hostname.clone(),
            host_network: handle.config.host_network,
            host_ipc: handle.config.host_ipc,
            share_process_namespace: handle.config.share_process_namespace,
            sysctls: sysctls(&handle.config),
            shared_memory: SHARED_MEMORY,
        };
        let answers = async {
            match link.call(&Request::Setup(setup)).await.map_err(gone)? {
                Reply::Done => {}
                Reply::Failed { message } => {
                    // It made nothing; it must not stay.
                    let _ = link.send(&Request::Shutdown, &[]).await;
                    return Err(Error::System(message));
                }
                other => return Err(Error::System(format!("the shim answered {other:?} to its setup"))),
            }
            match link.call(&Request::Subscribe).await.map_err(gone)? {
                Reply::State { version: VERSION, .. } => Ok(()),
                other => Err(Error::System(format!("the shim answered {other:?} to a subscription"))),
            }
        };
        answers.await?;
        Ok(link)
    }
}

/// Connects to a port of the loopback interface of a network namespace. Leaves
/// the calling thread in that namespace.
fn dial(namespace: Option<&std::path::Path>, port: u16) -> io::Result<std::net::TcpStream> {
    if let Some(path) = namespace {
        let file = fs::File::open(path)?;
        rustix::thread::move_into_link_name_space(
            file.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )?;
    }
    let wait = Duration::from_secs(5);
    let stream = std::net::TcpStream::connect_timeout(&(std::net::Ipv4Addr::LOCALHOST, port).into(), wait)
        .or_else(|_| {
            std::net::TcpStream::connect_timeout(&(std::net::Ipv6Addr::LOCALHOST, port).into(), wait)
        })?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            (None, libc::SIGTERM),
            (Some(""), libc::SIGTERM),
            (Some("SIGQUIT"), libc::SIGQUIT),
            (Some("quit"), libc::SIGQUIT),
            (Some("9"), 9),
            (Some("SIGRTMIN+3"), libc::SIGRTMIN() + 3),
            (Some("SIGRTMAX-1"), libc::SIGRTMAX() - 1),
        ] {
            assert_eq!(signal_number(text).unwrap(), number, "{text:?}");
        }
        for text in ["0", "65", "-1", "SIGFLY"] {
            assert!(signal_number(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn exits_have_reasons() {
        let exit = |exit_code, oom_killed, reason: &str| {
            exit_reason(&Exit {
                exit_code,
                oom_killed,
                reason: reason.into(),
                started_at: 0,
                finished_at: 0,
                message: String::new(),
            })
        };
        assert_eq!(exit(0, false, ""), "Completed");
        assert_eq!(exit(1, false, ""), "Error");
        assert_eq!(exit(137, true, ""), "OOMKilled");
        assert_eq!(exit(128, false, "StartError"), "StartError");
    }

    #[test]
    fn a_pods_own_sysctls_win() {
        let config = SandboxConfig {
            sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), "1024".to_owned())].into(),
            ..Default::default()
        };
        assert_eq!(sysctls(&config)[0].1, "1024");
        assert!(sysctls(&SandboxConfig { host_network: true, ..Default::default() }).is_empty());
    }
}
