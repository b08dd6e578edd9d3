//! A container's OCI runtime specification out of its [`ContainerConfig`]:
//! pure, but for looking up device numbers.
//!
//! Defaults (mounts, masked paths, devices) are those that containerd's CRI
//! plugin gives. Limits are not part of it: `cgroup` writes them itself.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::capabilities;
use crate::cgroup::DeviceRule;
use crate::seccomp::{self, Surroundings};
use crate::{ContainerConfig, Device, Error, Propagation, Result, SandboxConfig, SeccompProfile};

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where a sandbox pins its namespaces and keeps its shared memory.
pub(crate) struct SandboxPaths<'a> {
    pub(crate) namespaces: &'a Path,
    pub(crate) shared_memory: &'a Path,
}

/// What the specification is made for.
pub(crate) struct Surround<'a> {
    pub(crate) sandbox: &'a SandboxConfig,
    pub(crate) paths: SandboxPaths<'a>,
    pub(crate) cgroup: &'a str,
    /// What this machine can hand on.
    pub(crate) capabilities: capabilities::Set,
    /// cgroup v2: containers get a cgroup namespace of their own.
    pub(crate) unified: bool,
    /// The first process of the container that `process_namespace_of` names.
    pub(crate) target: Option<i32>,
}

/// `config.json` of the container's bundle.
pub(crate) fn specification(container: &ContainerConfig, around: &Surround<'_>) -> Result<Value> {
    let args: Vec<&String> = container.command.iter().chain(&container.args).collect();
    if args.is_empty() {
        return Err(Error::Invalid(
            "no command specified: neither the image nor the container has one".into(),
        ));
    }
    let security = &container.security;
    let granted = capabilities::granted(security, around.capabilities)?;
    let names = capabilities::names(granted);
    let cwd = if container.working_dir.is_empty() { "/" } else { &container.working_dir };
    if !cwd.starts_with('/') {
        return Err(Error::Invalid(format!("the working directory {cwd:?} must be an absolute path")));
    }
    let mut process = json!({
        "terminal": container.tty,
        "user": {
            "uid": container.user.uid,
            "gid": container.user.gid,
            "additionalGids": container.user.additional_gids,
        },
        "args": args,
        "env": environment(container),
        "cwd": cwd,
        "capabilities": { "bounding": names, "effective": names, "permitted": names },
    });
    // libcontainer loads the filter early (while it still may) exactly when
    // this field is absent, so false is not written.
    if security.no_new_privileges {
        process["noNewPrivileges"] = true.into();
    }
    let mut linux = json!({
        "cgroupsPath": around.cgroup,
        "namespaces": namespaces(around),
        "devices": container.devices.iter().map(device_node).collect::<Result<Vec<_>>>()?,
    });
    let surroundings = Surroundings::here(granted);
    if !security.privileged {
        linux["maskedPaths"] =
            json!(security.masked_paths.clone().unwrap_or_else(|| MASKED.map(str::to_owned).to_vec()));
        linux["readonlyPaths"] =
            json!(security.readonly_paths.clone().unwrap_or_else(|| READONLY.map(str::to_owned).to_vec()));
        match &security.seccomp {
            SeccompProfile::RuntimeDefault => linux["seccomp"] = seccomp::runtime_default(&surroundings)?,
            SeccompProfile::Localhost(text) => linux["seccomp"] = seccomp::translate(text, &surroundings)?,
            SeccompProfile::Unconfined => {}
        }
    }
    if container.mounts.iter().any(|m| m.propagation == Propagation::Bidirectional) {
        linux["rootfsPropagation"] = "shared".into();
    }
    Ok(json!({
        "ociVersion": "1.2.0",
        "root": { "path": container.rootfs, "readonly": security.readonly_rootfs },
        "process": process,
        "mounts": mounts(container, around)?,
        "linux": linux,
    }))
}

/// `NAME=value`, with PATH and (for a terminal) TERM where they are missing.
pub(crate) fn environment(container: &ContainerConfig) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(container.env.len() + 3);
    let has = |name: &str| container.env.iter().any(|(n, _)| n == name);
    if !has("PATH") {
        out.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    }
    if container.tty && !has("TERM") {
        out.push("TERM=xterm".into());
    }
    for (at, (name, value)) in container.env.iter().enumerate() {
        // The last of several wins, in its own place.
        if !container.env[at + 1..].iter().any(|(later, _)| later == name) {
            out.push(format!("{name}={value}"));
        }
    }
    out
}

fn namespaces(around: &Surround<'_>) -> Vec<Value> {
    let sandbox = around.sandbox;
    let pinned = |kind: &str, file: &str| json!({ "type": kind, "path": around.paths.namespaces.join(file) });
    let mut out = vec![json!({ "type": "mount" })];
    if !sandbox.host_network {
        out.push(pinned("network", "net"));
        out.push(pinned("uts", "uts"));
    }
    if !sandbox.host_ipc {
        out.push(pinned("ipc", "ipc"));
    }
    if let Some(pid) = around.target {
        out.push(json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") }));
    } else if sandbox.share_process_namespace {
        out.push(pinned("pid", "pid"));
    } else if !sandbox.host_pid {
        out.push(json!({ "type": "pid" }));
    }
    if around.unified {
        out.push(json!({ "type": "cgroup" }));
    }
    out
}

fn mounts(container: &ContainerConfig, around: &Surround<'_>) -> Result<Vec<Value>> {
    let privileged = container.security.privileged;
    let access = if privileged { "rw" } else { "ro" };
    let plain = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let mut out = vec![
        plain("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        plain("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        plain(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        plain("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        plain("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        plain("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ];
    if !container.mounts.iter().any(|m| m.target == Path::new("/dev/shm")) {
        let source = if around.sandbox.host_ipc { Path::new("/dev/shm") } else { around.paths.shared_memory };
        out.push(json!({ "destination": "/dev/shm", "type": "bind", "source": source, "options": ["rbind", "rprivate", "nosuid", "noexec", "nodev", "rw"] }));
    }
    for mount in &container.mounts {
        if !mount.target.is_absolute() {
            return Err(Error::Invalid(format!("mount target {:?} must be an absolute path", mount.target)));
        }
        // A mount of the caller replaces the default at the same place.
        out.retain(|m| m["destination"].as_str().map(Path::new) != Some(mount.target.as_path()));
        if let Some(size) = mount.tmpfs_size {
            let options =
                ["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned(), format!("size={size}")];
            out.push(json!({ "destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options }));
            continue;
        }
        let propagation = match mount.propagation {
            Propagation::Private => "rprivate",
            Propagation::HostToContainer => "rslave",
            Propagation::Bidirectional => "rshared",
        };
        let mut options = vec!["rbind", propagation, if mount.readonly { "ro" } else { "rw" }];
        if mount.recursive_readonly {
            options.push("rro");
        }
        out.push(json!({ "destination": mount.target, "type": "bind", "source": mount.source, "options": options }));
    }
    // Parents first; equal depths keep the caller's order.
    out.sort_by_key(|m| m["destination"].as_str().map_or(0, |path| Path::new(path).components().count()));
    Ok(out)
}

fn device_node(device: &Device) -> Result<Value> {
    let (kind, major, minor, meta) = device_numbers(&device.host_path)?;
    Ok(json!({
        "path": device.container_path,
        "type": kind.to_string(),
        "major": major,
        "minor": minor,
        "fileMode": meta.mode() & 0o7777,
        "uid": meta.uid(),
        "gid": meta.gid(),
    }))
}

fn device_numbers(path: &PathBuf) -> Result<(char, u32, u32, std::fs::Metadata)> {
    let meta = std::fs::metadata(path).map_err(Error::io(format!("device {}", path.display())))?;
    let kind = match meta.file_type() {
        t if t.is_char_device() => 'c',
        t if t.is_block_device() => 'b',
        _ => return Err(Error::Invalid(format!("{} is not a device", path.display()))),
    };
    Ok((kind, rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()), meta))
}

/// Which device nodes the container's processes may use.
pub(crate) fn device_rules(container: &ContainerConfig) -> Result<Vec<DeviceRule>> {
    if container.security.privileged {
        return Ok(vec![DeviceRule::ALL]);
    }
    let rule = |kind, major, minor, access: &str| DeviceRule {
        kind,
        major,
        minor,
        read: access.contains('r'),
        write: access.contains('w'),
        make: access.contains('m'),
    };
    let mut out = vec![rule('c', None, None, "m"), rule('b', None, None, "m")];
    // null, zero, full, random, urandom, tty, console, ptmx, terminals.
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        out.push(rule('c', Some(major), Some(minor), "rwm"));
    }
    out.push(rule('c', Some(136), None, "rwm"));
    for device in &container.devices {
        let (kind, major, minor, _) = device_numbers(&device.host_path)?;
        out.push(rule(kind, Some(major), Some(minor), &device.permissions));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mount, SecurityContext};

    fn made(container: &ContainerConfig, sandbox: &SandboxConfig) -> Value {
        let around = Surround {
            sandbox,
            paths: SandboxPaths { namespaces: Path::new("/s/ns"), shared_memory: Path::new("/s/shm") },
            cgroup: "/corten/pods/p/c",
            capabilities: (1 << capabilities::NAMES.len()) - 1,
            unified: true,
            target: None,
        };
        let value = specification(container, &around).unwrap();
        serde_json::from_value::<oci_spec::runtime::Spec>(value.clone()).expect("OCI can read it");
        value
    }

    fn container() -> ContainerConfig {
        ContainerConfig {
            rootfs: "/r".into(),
            command: vec!["/bin/sh".into()],
            args: vec!["-c".into(), "x".into()],
            ..Default::default()
        }
    }

    #[test]
    fn namespaces_follow_the_pod() {
        let kinds = |sandbox: SandboxConfig| -> Vec<String> {
            let spec = made(&container(), &sandbox);
            spec["linux"]["namespaces"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| {
                    format!(
                        "{}{}",
                        n["type"].as_str().unwrap(),
                        if n.get("path").is_some() { "=" } else { "" }
                    )
                })
                .collect()
        };
        assert_eq!(kinds(SandboxConfig::default()), ["mount", "network=", "uts=", "ipc=", "pid", "cgroup"]);
        assert_eq!(
            kinds(SandboxConfig { host_network: true, host_pid: true, host_ipc: true, ..Default::default() }),
            ["mount", "cgroup"]
        );
        assert_eq!(
            kinds(SandboxConfig { share_process_namespace: true, ..Default::default() }),
            ["mount", "network=", "uts=", "ipc=", "pid=", "cgroup"]
        );
    }

    #[test]
    fn a_target_lends_its_processes() {
        let config = SandboxConfig::default();
        let around = Surround {
            sandbox: &config,
            paths: SandboxPaths { namespaces: Path::new("/s/ns"), shared_memory: Path::new("/s/shm") },
            cgroup: "/c",
            capabilities: 0,
            unified: false,
            target: Some(77),
        };
        let spec = specification(&container(), &around).unwrap();
        let namespaces = spec["linux"]["namespaces"].as_array().unwrap();
        let pid = namespaces.iter().find(|namespace| namespace["type"] == "pid").unwrap();
        assert_eq!(pid["path"], "/proc/77/ns/pid");
    }

    #[test]
    fn rights_follow_the_security_context() {
        let plain = made(&container(), &SandboxConfig::default());
        assert!(plain["process"].get("noNewPrivileges").is_none());
        assert!(plain["linux"].get("seccomp").is_none());
        assert_eq!(plain["linux"]["readonlyPaths"][3], "/proc/sys");
        let strict = ContainerConfig {
            security: SecurityContext {
                no_new_privileges: true,
                readonly_rootfs: true,
                seccomp: SeccompProfile::RuntimeDefault,
                ..Default::default()
            },
            ..container()
        };
        let strict = made(&strict, &SandboxConfig::default());
        assert_eq!(strict["process"]["noNewPrivileges"], true);
        assert_eq!(strict["root"]["readonly"], true);
        assert_eq!(strict["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
        let privileged = ContainerConfig {
            security: SecurityContext { privileged: true, ..Default::default() },
            ..container()
        };
        let privileged = made(&privileged, &SandboxConfig::default());
        assert!(privileged["linux"].get("maskedPaths").is_none());
        assert_eq!(
            privileged["process"]["capabilities"]["bounding"].as_array().unwrap().len(),
            capabilities::NAMES.len()
        );
    }

    #[test]
    fn mounts_are_ordered_and_replace_defaults() {
        let bind =
            |target: &str| Mount { source: "/src".into(), target: target.into(), ..Default::default() };
        let with = ContainerConfig {
            mounts: vec![bind("/a/b"), bind("/a"), bind("/dev/shm"), bind("/sys")],
            ..container()
        };
        let spec = made(&with, &SandboxConfig::default());
        let targets: Vec<&str> =
            spec["mounts"].as_array().unwrap().iter().map(|m| m["destination"].as_str().unwrap()).collect();
        assert_eq!(
            targets,
            ["/proc", "/dev", "/a", "/sys", "/dev/pts", "/dev/mqueue", "/a/b", "/dev/shm", "/sys/fs/cgroup"]
        );
    }

    #[test]
    fn the_last_of_equal_names_wins() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let with = ContainerConfig {
            env: vec![pair("A", "1"), pair("PATH", "/b"), pair("A", "2")],
            tty: true,
            ..container()
        };
        assert_eq!(environment(&with), ["TERM=xterm", "PATH=/b", "A=2"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let sandbox = SandboxConfig::default();
        let around = Surround {
            sandbox: &sandbox,
            paths: SandboxPaths { namespaces: Path::new("/s/ns"), shared_memory: Path::new("/s/shm") },
            cgroup: "/c",
            capabilities: 0,
            unified: true,
            target: None,
        };
        for bad in [
            ContainerConfig::default(),
            ContainerConfig { working_dir: "relative".into(), ..container() },
            ContainerConfig {
                mounts: vec![Mount { target: "x".into(), ..Default::default() }],
                ..container()
            },
            ContainerConfig {
                devices: vec![Device { host_path: "/etc/passwd".into(), ..Default::default() }],
                ..container()
            },
        ] {
            assert!(specification(&bad, &around).is_err());
        }
    }
}
