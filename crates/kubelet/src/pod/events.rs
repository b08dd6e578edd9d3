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
    init: Vec<String>,
}

impl Events {
    pub fn about(recorder: &Recorder, pod: &Pod) -> Self {
        let init = pod
            .containers()
            .filter(|(role, _)| matches!(role, Role::Init | Role::Sidecar))
            .map(|(_, container)| container.name.clone())
            .collect();
        Self { recorder: recorder.clone(), pod: Reference::to(pod), init }
    }

    pub fn normal(&self, reason: &'static str, message: impl Into<String>) {
        self.recorder.event(&self.pod, EventType::Normal, reason, message);
    }

    pub fn warning(&self, reason: &'static str, message: impl Into<String>) {
        self.recorder.event(&self.pod, EventType::Warning, reason, message);
    }

    /// Events about one container carry its place in the pod.
    pub fn of(&self, container: &str) -> Self {
        let list =
            if self.init.iter().any(|name| name == container) { "initContainers" } else { "containers" };
        Self { pod: self.pod.clone().at(format!("spec.{list}{{{container}}}")), ..self.clone() }
    }
}
