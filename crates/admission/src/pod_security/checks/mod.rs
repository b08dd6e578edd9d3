//! The checks of the Pod Security Standards: one a file, all in one table.
//!
//! A check is a pure function of a pod's annotations and spec, in revisions of
//! which each counts from a Kubernetes version on.

mod allow_privilege_escalation;
mod app_armor_profile;
mod capabilities_baseline;
mod capabilities_restricted;
mod host_namespaces;
mod host_path_volumes;
mod host_ports;
mod host_probes_and_host_lifecycle;
mod privileged;
mod proc_mount_baseline;
mod proc_mount_restricted;
mod restricted_volumes;
mod run_as_non_root;
mod run_as_user;
mod se_linux_options;
mod seccomp_profile_baseline;
mod seccomp_profile_restricted;
mod sysctls;
mod windows_host_process;

use std::collections::BTreeSet;

use apimachinery::Value;

use super::policy::{Level, LevelVersion, Version};

/// What the checks look at: of a pod or of a template.
#[derive(Clone, Copy)]
pub(super) struct PodView<'a> {
    pub annotations: &'a Value,
    pub spec: &'a Value,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// `host namespaces`
    pub reason: &'static str,
    /// `hostPID=true`
    pub detail: String,
}

/// None: the pod passes.
type CheckPod = fn(PodView<'_>) -> Option<Violation>;

/// One check.
struct Check {
    /// Upstream's id; restricted checks name by it what they replace.
    id: &'static str,
    level: Level,
    /// The minor version from which each revision counts, oldest first.
    revisions: &'static [(u32, CheckPod)],
    /// Baseline checks that this one makes needless.
    overrides: &'static [&'static str],
}

/// Baseline first, then restricted, each in the order of the ids: that of the messages.
const CHECKS: [&Check; 19] = [
    &app_armor_profile::CHECK,
    &capabilities_baseline::CHECK,
    &host_namespaces::CHECK,
    &host_path_volumes::CHECK,
    &host_ports::CHECK,
    &host_probes_and_host_lifecycle::CHECK,
    &privileged::CHECK,
    &proc_mount_baseline::CHECK,
    &se_linux_options::CHECK,
    &seccomp_profile_baseline::CHECK,
    &sysctls::CHECK,
    &windows_host_process::CHECK,
    &allow_privilege_escalation::CHECK,
    &capabilities_restricted::CHECK,
    &proc_mount_restricted::CHECK,
    &restricted_volumes::CHECK,
    &run_as_non_root::CHECK,
    &run_as_user::CHECK,
    &seccomp_profile_restricted::CHECK,
];

impl Check {
    /// The revision that counts in `version`.
    fn revision(&self, version: Version) -> Option<CheckPod> {
        let counts = |(from, _): &&(u32, CheckPod)| Version::Minor(*from) <= version;
        self.revisions.iter().rev().find(counts).map(|(_, check)| *check)
    }
}

impl<'a> PodView<'a> {
    /// Of a pod, or of a pod template.
    pub fn of(pod: &'a Value) -> Self {
        Self { annotations: &pod["metadata"]["annotations"], spec: &pod["spec"] }
    }

    /// All containers, in the order in which messages name them.
    fn containers(self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(move |list| self.spec[list].items())
    }

    /// Names of the containers that are `bad`.
    fn containers_that(self, bad: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers()
            .filter(|container| bad(container))
            .map(|container| container["name"].text())
            .collect()
    }

    /// The pod's own security context.
    fn context(self) -> &'a Value {
        &self.spec["securityContext"]
    }

    /// Whether the pod's users are none of the node's.
    fn has_user_namespace(self) -> bool {
        self.spec["hostUsers"].as_bool() == Some(false)
    }

    fn is_windows(self) -> bool {
        self.spec["os"]["name"].text() == "windows"
    }
}

/// What is wrong with the pod at this level, in the order of the table.
pub(super) fn evaluate(level: LevelVersion, pod: PodView<'_>) -> Vec<Violation> {
    if level.level == Level::Privileged {
        return Vec::new();
    }
    let active = || CHECKS.iter().filter(|check| check.level <= level.level);
    let is_overridden = |id: &str| {
        active().any(|check| check.overrides.contains(&id) && check.revision(level.version).is_some())
    };
    active()
        .filter(|check| !is_overridden(check.id))
        .filter_map(|check| check.revision(level.version)?(pod))
        .collect()
}

/// `container "a"`, `containers "a", "b"`.
fn containers(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names.iter()))
}

/// Who did it: `pod and containers "a", "b"`.
fn setters(pod: bool, names: &[&str]) -> Vec<String> {
    let mut setters = Vec::new();
    if pod {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(containers(names));
    }
    setters
}

/// `"a", "b"`: quotes around what may hold quotes.
fn quoted(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let each: Vec<String> = names.into_iter().map(|name| format!("\"{}\"", name.as_ref())).collect();
    each.join(", ")
}

fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// Distinct values, sorted.
fn distinct<'a>(values: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    values.into_iter().collect()
}

#[cfg(test)]
mod tests;
