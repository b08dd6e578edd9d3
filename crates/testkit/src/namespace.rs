//! Network namespaces for tests.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// The address of the node in every namespace: documentation's (RFC 5737),
/// so that a packet that strayed would find nobody.
pub const NODE_ADDRESS: &str = "192.0.2.10";

/// The address of a second node, beside the first one.
pub const SECOND_ADDRESS: &str = "192.0.2.11";

/// A network namespace with a loopback, one link that holds
/// [`NODE_ADDRESS`], and no default route. Dropping it removes it.
pub struct Namespace {
    name: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Namespace {
    pub fn create() -> Result<Self> {
        let namespace = Self::empty()?;
        for command in [
            "link add node0 type veth peer name node1",
            &format!("address add {NODE_ADDRESS}/24 dev node0"),
            "link set node0 up",
            "link set node1 up",
        ] {
            namespace.ip(command)?;
        }
        Ok(namespace)
    }

    /// A namespace at the other end of this one's link, with [`SECOND_ADDRESS`].
    pub fn beside(&self) -> Result<Self> {
        let other = Self::empty()?;
        self.ip(&format!("link set node1 netns {}", other.name))?;
        other.ip(&format!("address add {SECOND_ADDRESS}/24 dev node1"))?;
        other.ip("link set node1 up")?;
        Ok(other)
    }

    fn empty() -> Result<Self> {
        let name = format!("ctn-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// An ip command on what is inside.
    fn ip(&self, command: &str) -> Result<()> {
        let mut arguments = vec!["-n", self.name.as_str()];
        arguments.extend(command.split(' '));
        ip(&arguments)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the namespace is pinned.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    pub fn network(&self) -> Network {
        Network(self.path())
    }

    /// A command inside. (`ip netns exec` would hide /sys/fs/cgroup.)
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }
}

/// A way into a namespace's network.
pub struct Network(PathBuf);

impl Network {
    /// Moves the calling thread into the network, for good.
    ///
    /// # Panics
    /// Where the namespace is gone.
    pub fn enter(&self) {
        let file = std::fs::File::open(&self.0).expect("the namespace is pinned");
        nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET)
            .expect("root may enter a network namespace");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The guard of the cluster may have been here first.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip (package iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
