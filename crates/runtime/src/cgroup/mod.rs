//! Control groups of pods and containers, under the unified hierarchy (v2) and
//! the split one (v1 with or without `unified`).
//!
//! Paths are absolute from the cgroup root (`/corten/pods/podUID`). Groups are
//! made before a process enters them and removed when they are empty. Numbers
//! are converted here and nowhere else. Never decides a limit.
//!
//! Source: kernel documents admin-guide/cgroup-v1 and admin-guide/cgroup-v2;
//! KEP-2254 for the conversions.

mod devices;
mod limits;
mod stats;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) use devices::DeviceRule;

use crate::{Resources, Stats};

const ROOT: &str = "/sys/fs/cgroup";

/// Controllers that pods are limited by; others are left alone.
const WANTED: [&str; 7] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb", "devices"];

/// How this machine mounts its control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// cgroup2 at the root.
    Unified,
    /// One mount for each controller; `unified` is the v2 mount beside them.
    Split { unified: Option<PathBuf> },
}

/// The machine's layout, looked up once.
pub(crate) fn layout() -> &'static Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        let is_v2 = |path: &Path| rustix::fs::statfs(path).is_ok_and(|s| s.f_type as u64 == 0x6367_7270);
        if is_v2(Path::new(ROOT)) {
            return Layout::Unified;
        }
        let unified = Path::new(ROOT).join("unified");
        Layout::Split { unified: is_v2(&unified).then_some(unified) }
    })
}

/// One control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    path: String,
}

impl Cgroup {
    /// `path` is absolute from the cgroup root; `..` is refused.
    pub(crate) fn new(path: &str) -> io::Result<Self> {
        let fits = path.starts_with('/')
            && path.len() > 1
            && path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
        if !fits {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cgroup path {path:?} must be absolute and plain"),
            ));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// A group below this one.
    pub(crate) fn child(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path) }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Directory in the hierarchy of `controller`; None when that is not mounted.
    fn directory(&self, controller: &str) -> Option<PathBuf> {
        let base = match layout() {
            Layout::Unified => PathBuf::from(ROOT),
            Layout::Split { .. } => v1_mount(controller)?,
        };
        Some(base.join(&self.path[1..]))
    }

    /// All directories that make up the group, each once.
    fn directories(&self) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        match layout() {
            Layout::Unified => {
                seen.insert(PathBuf::from(ROOT).join(&self.path[1..]));
            }
            Layout::Split { unified } => {
                seen.extend(
                    WANTED.iter().chain(&["freezer", "blkio", "systemd"]).filter_map(|c| self.directory(c)),
                );
                seen.extend(unified.as_ref().map(|mount| mount.join(&self.path[1..])));
            }
        }
        seen.into_iter().collect()
    }

    /// Makes the group with the controllers that pods need switched on for it
    /// and what will lie below it.
    pub(crate) fn create(&self) -> io::Result<()> {
        for directory in self.directories() {
            make_directory(&directory).map_err(|e| naming(&directory, e))?;
        }
        match layout() {
            Layout::Unified => self.delegate(),
            Layout::Split { .. } => self.inherit_cpuset(),
        }
    }

    /// v2: a controller works in a group only if every ancestor hands it down.
    fn delegate(&self) -> io::Result<()> {
        let mut directory = PathBuf::from(ROOT);
        let parts: Vec<&str> = self.path[1..].split('/').collect();
        for part in &parts {
            let available = fs::read_to_string(directory.join("cgroup.controllers"))?;
            let on = fs::read_to_string(directory.join("cgroup.subtree_control"))?;
            let missing: Vec<String> = available
                .split_whitespace()
                .filter(|c| WANTED.contains(c) && !on.split_whitespace().any(|o| o == *c))
                .map(|c| format!("+{c}"))
                .collect();
            let control = directory.join("cgroup.subtree_control");
            if !missing.is_empty() && write_file(&control, &missing.join(" ")).is_err() {
                // One that cannot be had takes the others with it when they are
                // written together.
                for controller in &missing {
                    let needed = ["+cpu", "+memory", "+pids"].contains(&controller.as_str());
                    write_file(&control, controller)
                        .or_else(|error| if needed { Err(error) } else { Ok(()) })?;
                }
            }
            directory.push(part);
        }
        Ok(())
    }

    /// v1: a new cpuset is empty and takes no process until it is filled.
    fn inherit_cpuset(&self) -> io::Result<()> {
        let Some(mount) = v1_mount("cpuset") else { return Ok(()) };
        let mut directory = mount;
        for part in self.path[1..].split('/') {
            let parent = directory.clone();
            directory.push(part);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if fs::read_to_string(directory.join(file))?.trim().is_empty() {
                    write_file(&directory.join(file), fs::read_to_string(parent.join(file))?.trim())?;
                }
            }
        }
        Ok(())
    }

    /// Moves a process into the group (0: the caller).
    pub(crate) fn enter(&self, pid: i32) -> io::Result<()> {
        for directory in self.directories() {
            write_file(&directory.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Moves a process into those hierarchies of the group that libcontainer
    /// does not know: on v1 the bare v2 mount and systemd's.
    pub(crate) fn enter_beside(&self, pid: i32) -> io::Result<()> {
        let Layout::Split { unified } = layout() else { return Ok(()) };
        let beside = unified
            .as_ref()
            .map(|mount| mount.join(&self.path[1..]))
            .into_iter()
            .chain(self.directory("systemd"));
        beside
            .into_iter()
            .try_for_each(|directory| write_file(&directory.join("cgroup.procs"), &pid.to_string()))
    }

    /// Writes the limits that are set; the others stay.
    pub(crate) fn limit(&self, resources: &Resources) -> io::Result<()> {
        for write in limits::writes(resources, layout() == &Layout::Unified) {
            let Some(directory) = self.directory(write.controller) else {
                if write.required {
                    return Err(io::Error::other(format!(
                        "this machine has no cgroup controller {}",
                        write.controller
                    )));
                }
                continue;
            };
            let path = directory.join(&write.file);
            match write_file(&path, &write.value) {
                Err(error) if !write.required && error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Allows the group exactly the devices of `rules`.
    pub(crate) fn allow_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        match layout() {
            Layout::Unified => devices::attach(&PathBuf::from(ROOT).join(&self.path[1..]), rules),
            Layout::Split { unified } => match self.directory("devices") {
                Some(directory) => devices::write_v1(&directory, rules),
                None => match unified {
                    Some(mount) => devices::attach(&mount.join(&self.path[1..]), rules),
                    None => Ok(()),
                },
            },
        }
    }

    /// Kills every process in the group and below, until none is left or
    /// `rounds` passes did not suffice. The dead are reaped by their parents.
    pub(crate) fn kill(&self, rounds: usize) -> io::Result<()> {
        for directory in self.kill_directories() {
            if write_file(&directory.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            for _ in 0..rounds {
                let pids = pids_below(&directory);
                if pids.is_empty() {
                    break;
                }
                for pid in pids {
                    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                    }
                }
            }
        }
        Ok(())
    }

    fn kill_directories(&self) -> Vec<PathBuf> {
        match layout() {
            Layout::Unified => self.directories(),
            Layout::Split { .. } => ["pids", "memory", "cpu"]
                .iter()
                .find_map(|controller| self.directory(controller))
                .into_iter()
                .collect(),
        }
    }

    /// Removes the group and all below it. Fails with `EBUSY` while a process
    /// lives there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.directories().iter().try_for_each(|directory| remove_tree(directory))
    }

    /// Removes the group unless a process or a group is in it.
    pub(crate) fn remove_empty(&self) -> io::Result<()> {
        self.directories().iter().try_for_each(fs::remove_dir)
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let text = match layout() {
            Layout::Unified => self.directory("memory").map(|d| d.join("memory.events")),
            Layout::Split { .. } => self.directory("memory").map(|d| d.join("memory.oom_control")),
        };
        text.and_then(|path| fs::read_to_string(path).ok())
            .and_then(|text| stats::field(&text, "oom_kill"))
            .unwrap_or(0)
    }

    /// The file whose changes tell of an out-of-memory kill on v2, and the
    /// pair (file, control) to register an eventfd with on v1.
    pub(crate) fn oom_watch(&self) -> Option<OomWatch> {
        let directory = self.directory("memory")?;
        Some(match layout() {
            Layout::Unified => OomWatch::Inotify(directory.join("memory.events")),
            Layout::Split { .. } => OomWatch::Eventfd {
                file: directory.join("memory.oom_control"),
                control: directory.join("cgroup.event_control"),
            },
        })
    }

    /// Counters, as far as the machine has them.
    pub(crate) fn stats(&self) -> Stats {
        match layout() {
            Layout::Unified => stats::unified(&PathBuf::from(ROOT).join(&self.path[1..])),
            Layout::Split { .. } => stats::split(|controller| self.directory(controller)),
        }
    }
}

/// How to be told of out-of-memory kills.
pub(crate) enum OomWatch {
    Inotify(PathBuf),
    Eventfd { file: PathBuf, control: PathBuf },
}

/// Where a v1 controller is mounted, also when it shares a mount.
fn v1_mount(controller: &str) -> Option<PathBuf> {
    let plain = Path::new(ROOT).join(controller);
    if plain.join("cgroup.procs").exists() {
        return Some(plain);
    }
    let shared = match controller {
        "cpu" | "cpuacct" => ["cpu,cpuacct", "cpuacct,cpu"],
        "net_cls" | "net_prio" => ["net_cls,net_prio", "net_prio,net_cls"],
        _ => return None,
    };
    shared.iter().map(|name| Path::new(ROOT).join(name)).find(|path| path.join("cgroup.procs").exists())
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(|e| naming(path, e))?;
    file.write_all(text.as_bytes())
        .map_err(|e| io::Error::new(e.kind(), format!("write {text:?} to {}: {e}", path.display())))
}

/// Its empty parents may go while it is made, where another node of this machine
/// is taken down.
fn make_directory(directory: &Path) -> io::Result<()> {
    let mut made = fs::create_dir_all(directory);
    for _ in 0..10 {
        match &made {
            Err(error) if error.kind() == io::ErrorKind::NotFound => made = fs::create_dir_all(directory),
            _ => break,
        }
    }
    made
}

fn naming(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn pids_below(directory: &Path) -> Vec<i32> {
    let mut pids: Vec<i32> = fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    pids.extend(below(directory).flat_map(|group| pids_below(&group)));
    pids
}

fn below(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path())
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    below(directory).try_for_each(|group| remove_tree(&group))?;
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|e| naming(directory, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(Cgroup::new("/corten/pods").unwrap().child("c1").path(), "/corten/pods/c1");
        for bad in ["", "/", "corten", "/corten/../x", "/a//b", "/a/./b", "/a/"] {
            assert!(Cgroup::new(bad).is_err(), "{bad}");
        }
    }
}
