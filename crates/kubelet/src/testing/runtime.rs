//! A runtime whose containers are entries in a map; a test says when they exit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use edge::{Clock, Random};
use parking_lot::Mutex;
use runtime::*;
use tokio::sync::broadcast;

pub struct FakeRuntime {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pub sandboxes: Mutex<BTreeMap<SandboxId, SandboxStatus>>,
    events: broadcast::Sender<Event>,
    /// Commands whose start fails.
    pub broken: Mutex<Vec<String>>,
    /// Commands that have ended, and were told to have, before their start is.
    pub brief: Mutex<Vec<String>>,
    /// What was called, in order.
    pub calls: Mutex<Vec<String>>,
}

impl FakeRuntime {
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            clock,
            random,
            sandboxes: Mutex::default(),
            events: broadcast::channel(1024).0,
            broken: Mutex::default(),
            brief: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    fn now(&self) -> Nanoseconds {
        i64::try_from(self.clock.now().as_nanosecond()).expect("the test's clock is near 1970")
    }

    fn with<T>(&self, id: &ContainerId, change: impl FnOnce(&mut ContainerStatus) -> T) -> Result<T> {
        let mut sandboxes = self.sandboxes.lock();
        let found =
            sandboxes.values_mut().flat_map(|sandbox| &mut sandbox.containers).find(|one| one.id == *id);
        found.map(change).ok_or_else(|| Error::NotFound { what: "container", id: id.to_string() })
    }

    /// Ends the newest running container of that name.
    pub fn exit(&self, name: &str, code: i32) {
        let id = self
            .sandboxes
            .lock()
            .values()
            .flat_map(|sandbox| &sandbox.containers)
            .find(|one| one.config.name == name && one.state == ContainerState::Running)
            .map(|one| one.id.clone())
            .unwrap_or_else(|| panic!("no container {name} runs"));
        self.end(&id, code);
    }

    fn end(&self, id: &ContainerId, code: i32) {
        let now = self.now();
        let ended = self.with(id, |one| {
            if one.state == ContainerState::Exited {
                return None;
            }
            one.state = ContainerState::Exited;
            one.exit_code = code;
            one.finished_at = now;
            one.reason = if code == 0 { "Completed" } else { "Error" }.into();
            Some(one.sandbox.clone())
        });
        if let Ok(Some(sandbox)) = ended {
            let _ = self.events.send(Event::ContainerExited {
                sandbox,
                id: id.clone(),
                exit_code: code,
                oom_killed: false,
            });
        }
    }

    /// Names of containers that run, sorted.
    pub fn running(&self) -> Vec<String> {
        let sandboxes = self.sandboxes.lock();
        let all = sandboxes.values().flat_map(|sandbox| &sandbox.containers);
        let mut names: Vec<_> = all
            .filter(|one| one.state == ContainerState::Running)
            .map(|one| one.config.name.clone())
            .collect();
        names.sort();
        names
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn run_sandbox(&self, config: SandboxConfig) -> Result<Sandbox> {
        self.calls.lock().push(format!("sandbox {}", config.name));
        let id = SandboxId::random(self.random.as_ref());
        let created_at = self.now();
        let network_namespace = (!config.host_network).then(|| "/run/netns/x".into());
        let status = SandboxStatus {
            id: id.clone(),
            config,
            state: SandboxState::Ready,
            created_at,
            network_namespace: network_namespace.clone(),
            containers: vec![],
        };
        self.sandboxes.lock().insert(id.clone(), status);
        Ok(Sandbox { id, network_namespace, created_at })
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let containers: Vec<_> = {
            let mut sandboxes = self.sandboxes.lock();
            let Some(sandbox) = sandboxes.get_mut(id) else { return Ok(()) };
            sandbox.state = SandboxState::NotReady;
            sandbox.containers.iter().map(|one| one.id.clone()).collect()
        };
        for container in containers {
            self.end(&container, 137);
        }
        Ok(())
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.stop_sandbox(id).await?;
        self.sandboxes.lock().remove(id);
        Ok(())
    }

    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId> {
        let id = config.id.clone().unwrap_or_else(|| ContainerId::random(self.random.as_ref()));
        self.calls.lock().push(format!("create {} {}", config.name, config.attempt));
        let status = ContainerStatus {
            id: id.clone(),
            sandbox: sandbox.clone(),
            config,
            state: ContainerState::Created,
            created_at: self.now(),
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            pid: 0,
            log_path: None,
        };
        let mut sandboxes = self.sandboxes.lock();
        let place =
            sandboxes.get_mut(sandbox).ok_or(Error::NotFound { what: "sandbox", id: sandbox.to_string() })?;
        place.containers.push(status);
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let now = self.now();
        let (broken, brief) = (self.broken.lock().clone(), self.brief.lock().clone());
        let is_brief = self.with(id, |one| {
            if one.config.command.first().is_some_and(|command| broken.contains(command)) {
                let message =
                    format!("exec: {:?}: executable file not found in $PATH", one.config.command[0]);
                one.state = ContainerState::Exited;
                one.exit_code = 128;
                one.reason = "StartError".into();
                one.message = message.clone();
                one.finished_at = now;
                return Err(Error::Start { reason: "StartError", message, exit_code: 128 });
            }
            one.state = ContainerState::Running;
            one.started_at = now;
            Ok(one.config.command.first().is_some_and(|command| brief.contains(command)))
        })??;
        if is_brief {
            self.end(id, 0);
            // Whoever follows the events hears of the end first.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, _: Option<&str>, grace: Duration) -> Result<()> {
        let name = self.with(id, |one| one.config.name.clone())?;
        self.calls.lock().push(format!("stop {name} {}", grace.as_secs()));
        self.end(id, 143);
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        for sandbox in self.sandboxes.lock().values_mut() {
            sandbox.containers.retain(|one| one.id != *id);
        }
        Ok(())
    }

    async fn update_resources(&self, _: &ContainerId, _: &Resources) -> Result<()> {
        Ok(())
    }

    async fn update_sandbox_resources(&self, _: &SandboxId, _: &Resources) -> Result<()> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxStatus>> {
        Ok(self.sandboxes.lock().values().cloned().collect())
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus> {
        self.sandboxes.lock().get(id).cloned().ok_or(Error::NotFound { what: "sandbox", id: id.to_string() })
    }

    async fn status(&self, id: &ContainerId) -> Result<ContainerStatus> {
        self.with(id, |one| one.clone())
    }

    async fn exec_sync(&self, id: &ContainerId, command: &[String], _: Duration) -> Result<ExecOutput> {
        let name = self.with(id, |one| one.config.name.clone())?;
        self.calls.lock().push(format!("exec {name} {}", command.join(" ")));
        let exit_code = i32::from(command.first().is_some_and(|word| word == "false"));
        Ok(ExecOutput { exit_code, ..ExecOutput::default() })
    }

    async fn exec(&self, id: &ContainerId, _: ExecOptions) -> Result<Streams> {
        Err(Error::Precondition(format!("{id} has no streams")))
    }

    async fn attach(&self, id: &ContainerId, _: AttachOptions) -> Result<Streams> {
        Err(Error::Precondition(format!("{id} has no streams")))
    }

    async fn connect(&self, id: &SandboxId, _: u16) -> Result<tokio::net::TcpStream> {
        Err(Error::Precondition(format!("{id} has no ports")))
    }

    async fn reopen_log(&self, _: &ContainerId) -> Result<()> {
        Ok(())
    }

    async fn stats(&self, _: &ContainerId) -> Result<Stats> {
        Ok(Stats::default())
    }

    async fn sandbox_stats(&self, _: &SandboxId) -> Result<Stats> {
        Ok(Stats::default())
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
