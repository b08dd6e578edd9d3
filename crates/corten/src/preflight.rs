//! What must hold before anything is started. Each refusal is a sentence that
//! says what is wrong and what to do.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Root is needed for namespaces, mounts and packet rules.
pub fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "a node needs root for namespaces, mounts and packet rules: run it as root, for example with sudo"
        );
    }
    Ok(())
}

/// Containers' root file systems are overlays.
pub fn require_overlayfs() -> Result<()> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if has_file_system(&known, "overlay") {
        return Ok(());
    }
    // Not loaded yet, maybe.
    let _ = std::process::Command::new("modprobe").arg("overlay").output();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !has_file_system(&known, "overlay") {
        bail!(
            "this kernel has no overlayfs, which containers' root file systems need: load the module (modprobe overlay) or use a kernel with CONFIG_OVERLAY_FS"
        );
    }
    Ok(())
}

fn has_file_system(known: &str, name: &str) -> bool {
    known.lines().any(|line| line.split_whitespace().next_back() == Some(name))
}

/// Lets this process open as many files as the system allows: a connection is
/// one. The usual limit of 1024 is for programs that select(2). The spawner was
/// forked before, so that containers keep the limit that they know.
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Listens on the address of the API.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!(
                    "{address} is in use by another program: end it, or choose another address with --bind"
                )
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!(
                    "{address} is no address of this machine: choose one that `ip address` shows with --bind"
                )
            }
            _ => format!("cannot listen on {address}: {error}"),
        };
        anyhow::anyhow!(why)
    })?;
    listener.set_nonblocking(true).context("the listening socket")?;
    Ok(listener)
}

/// Makes the data directory, readable by its owner alone.
pub fn data_dir(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if directory.exists() && !directory.is_dir() {
        bail!("the data directory {} is a file: choose another place with --data-dir", directory.display());
    }
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot protect the data directory {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_found_by_name() {
        let known = "nodev\tsysfs\nnodev\toverlay\n\text4\n";
        assert!(has_file_system(known, "overlay"));
        assert!(has_file_system(known, "ext4"));
        assert!(!has_file_system(known, "lay"));
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refusal = listen(address).unwrap_err().to_string();
        assert!(refusal.contains(&address.to_string()) && refusal.contains("--bind"), "{refusal}");
    }
}
