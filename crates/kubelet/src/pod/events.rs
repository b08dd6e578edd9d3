//! What people read about a pod in `kubectl describe`: upstream's reasons and
//! sentences.

use informer::{EventType, Recorder, Reference};
use k8s_openapi::api::core::v1::Pod;

use super::spec::{PodExt, Role};

/// Writes events about one pod.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    pod: Reference,
    /// Containers that are not in `spec.containers`, with their list.
    elsewhere: Vec<(&'static str, String)>,
}

impl Events {
    pub fn about(recorder: &Recorder, pod: &Pod) -> Self {
        let init = pod
            .containers()
            .filter(|(role, _)| matches!(role, Role::Init | Role::Sidecar))
            .map(|(_, container)| ("initContainers", container.name.clone()));
        let ephemeral = pod.ephemeral_containers().map(|container| ("ephemeralContainers", container.name));
        let elsewhere = init.chain(ephemeral).collect();
        Self { recorder: recorder.clone(), pod: Reference::to(pod), elsewhere }
    }

    pub fn normal(&self, reason: &'static str, message: impl Into<String>) {
        self.recorder.event(&self.pod, EventType::Normal, reason, message);
    }

    pub fn warning(&self, reason: &'static str, message: impl Into<String>) {
        self.recorder.event(&self.pod, EventType::Warning, reason, message);
    }

    /// Events about one container carry its place in the pod.
    pub fn of(&self, container: &str) -> Self {
        let list = self.elsewhere.iter().find(|(_, name)| name == container);
        let list = list.map_or("containers", |(list, _)| list);
        Self { pod: self.pod.clone().at(format!("spec.{list}{{{container}}}")), ..self.clone() }
    }
}
