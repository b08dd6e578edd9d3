//! Questions about a Pod that many parts of the kubelet ask. Pure.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, EphemeralContainer, Pod, PodSpec, PodStatus};

/// What part a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always` (KEP-753).
    Sidecar,
    Main,
    /// Added to a running pod for debugging.
    Ephemeral,
}

/// When a container that has exited is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }
}

/// The grace that a pod without `terminationGracePeriodSeconds` has.
const DEFAULT_GRACE: i64 = 30;

/// Shorthands on a Pod as the API publishes it.
pub trait PodExt {
    fn spec(&self) -> &PodSpec;
    fn status(&self) -> &PodStatus;
    fn uid(&self) -> &str;
    fn name(&self) -> &str;
    fn namespace(&self) -> &str;
    /// `NAME_NAMESPACE(UID)`, as messages call a pod.
    fn display(&self) -> String;
    /// Every container that the pod was made with, in the order of start.
    fn containers(&self) -> impl Iterator<Item = (Role, &Container)>;
    /// Those that were added to debug it.
    fn ephemeral_containers(&self) -> impl Iterator<Item = Container>;
    /// Any container.
    fn container(&self, name: &str) -> Option<(Role, Cow<'_, Container>)>;
    fn restart_policy(&self) -> RestartPolicy;
    fn is_deleted(&self) -> bool;
    /// Seconds between SIGTERM and SIGKILL.
    fn grace_seconds(&self) -> i64;
    fn is_host_network(&self) -> bool;
    /// Phase Succeeded or Failed.
    fn is_terminal(&self) -> bool;
    fn container_status(&self, name: &str) -> Option<&ContainerStatus>;
    fn created_at(&self) -> Option<Timestamp>;
}

impl PodExt for Pod {
    fn spec(&self) -> &PodSpec {
        static NONE: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
        self.spec.as_ref().unwrap_or(&NONE)
    }

    fn status(&self) -> &PodStatus {
        static NONE: std::sync::LazyLock<PodStatus> = std::sync::LazyLock::new(PodStatus::default);
        self.status.as_ref().unwrap_or(&NONE)
    }

    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn display(&self) -> String {
        format!("{}_{}({})", self.name(), self.namespace(), self.uid())
    }

    fn containers(&self) -> impl Iterator<Item = (Role, &Container)> {
        let spec = PodExt::spec(self);
        let init = spec.init_containers.iter().flatten().map(|container| (init_role(container), container));
        init.chain(spec.containers.iter().map(|container| (Role::Main, container)))
    }

    fn ephemeral_containers(&self) -> impl Iterator<Item = Container> {
        PodExt::spec(self).ephemeral_containers.iter().flatten().map(of_ephemeral)
    }

    fn container(&self, name: &str) -> Option<(Role, Cow<'_, Container>)> {
        let planned = self.containers().find(|(_, container)| container.name == name);
        if let Some((role, container)) = planned {
            return Some((role, Cow::Borrowed(container)));
        }
        let list = PodExt::spec(self).ephemeral_containers.iter().flatten();
        let added = list.into_iter().find(|container| container.name == name)?;
        Some((Role::Ephemeral, Cow::Owned(of_ephemeral(added))))
    }

    fn restart_policy(&self) -> RestartPolicy {
        RestartPolicy::parse(PodExt::spec(self).restart_policy.as_deref())
    }

    fn is_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    fn grace_seconds(&self) -> i64 {
        let wanted = self.metadata.deletion_grace_period_seconds.filter(|_| self.is_deleted());
        wanted.or(PodExt::spec(self).termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE).max(0)
    }

    fn is_host_network(&self) -> bool {
        PodExt::spec(self).host_network == Some(true)
    }

    fn is_terminal(&self) -> bool {
        matches!(PodExt::status(self).phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        let status = PodExt::status(self);
        let lists = [
            &status.init_container_statuses,
            &status.container_statuses,
            &status.ephemeral_container_statuses,
        ];
        lists.into_iter().flatten().flatten().find(|one| one.name == name)
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }
}

/// The role of a container in `initContainers`.
pub fn init_role(container: &Container) -> Role {
    if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init }
}

/// An ephemeral container has every field of a container, and its target.
fn of_ephemeral(container: &EphemeralContainer) -> Container {
    let EphemeralContainer {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        target_container_name: _,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    } = container.clone();
    Container {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        lifecycle,
        liveness_probe,
        name,
        ports,
        readiness_probe,
        resize_policy,
        resources,
        restart_policy,
        restart_policy_rules,
        security_context,
        startup_probe,
        stdin,
        stdin_once,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
    }
}

/// What happens to a container of `role` that exited with `code`
/// (KEP-5307: rules of the container, its own policy, the pod's policy).
pub fn restarts(pod: &Pod, role: Role, container: &Container, code: i32) -> bool {
    if role == Role::Ephemeral {
        return false;
    }
    if role == Role::Sidecar {
        return true;
    }
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|value| *value == code);
        let matches = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if matches {
            return rule.action != "Terminate";
        }
    }
    let policy = match &container.restart_policy {
        Some(own) => RestartPolicy::parse(Some(own)),
        // An init container that has succeeded is done, whatever the pod's policy.
        None if role == Role::Init && pod.restart_policy() == RestartPolicy::Always => {
            RestartPolicy::OnFailure
        }
        None => pod.restart_policy(),
    };
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}
