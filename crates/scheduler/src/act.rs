//! Carries out what was decided: binds, writes conditions and events, evicts.
//!
//! Each runs as a task of its own; what goes wrong goes back to the core.

use std::sync::Arc;

use apimachinery::{Value, value};
use client::{Api, DeleteOptions, Patch, Transport};
use edge::Edge;
use informer::{EventType, Recorder};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::SCHEDULER_NAME;
use crate::core::{Input, NotBound, Report};
use crate::framework::{BindContext, Framework};
use crate::pod_info::{PodInfo, SharedPod};

/// Events are cut to this many bytes, as upstream's are.
const EVENT_LENGTH: usize = 1024;

pub struct Actor {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub framework: Arc<Framework>,
    pub recorder: Recorder,
    pub inputs: mpsc::UnboundedSender<Input>,
}

impl Actor {
    /// Binds the pod in the background.
    pub fn bind(self: &Arc<Self>, pod: SharedPod, node: String) {
        let actor = self.clone();
        self.edge.tasks.spawn(async move {
            match actor.binding_cycle(&pod, &node).await {
                Ok(()) => {
                    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                    actor.recorder.event(&pod.reference(), EventType::Normal, "Scheduled", message);
                }
                Err(why) => {
                    tracing::debug!(pod = %pod.key(), node, ?why, "not bound");
                    // The core is gone only when all ends.
                    let _ = actor.inputs.send(Input::NotBound { pod, node, why });
                }
            }
        });
    }

    /// Permit, PreBind and Bind, in this order.
    async fn binding_cycle(&self, pod: &PodInfo, node: &str) -> Result<(), NotBound> {
        for plugin in self.framework.plugins() {
            let Some(permit) = plugin.as_permit() else { continue };
            let name = plugin.name();
            permit.permit(pod, node).await.map_err(|rejection| NotBound::Refused(name, rejection))?;
        }
        let context = BindContext { transport: self.transport.clone() };
        for plugin in self.framework.plugins() {
            let Some(pre_bind) = plugin.as_pre_bind() else { continue };
            let name = plugin.name();
            let failed = |error| NotBound::Failed(format!("running PreBind plugin {name:?}: {error}"));
            pre_bind.pre_bind(&context, pod, node).await.map_err(failed)?;
        }
        // The first Bind plugin binds.
        let binder = self.framework.plugins().find_map(|plugin| Some((plugin.name(), plugin.as_bind()?)));
        let Some((name, bind)) = binder else {
            return Err(NotBound::Failed("no Bind plugin is configured".into()));
        };
        let failed = |error| NotBound::Failed(format!("running Bind plugin {name:?}: {error}"));
        bind.bind(&context, pod, node).await.map_err(failed)
    }

    /// Tells in the background why the pod has no node, and evicts for it.
    pub fn report(self: &Arc<Self>, report: Report) {
        let message = shortened(&report.message);
        self.recorder.event(&report.pod.reference(), EventType::Warning, "FailedScheduling", message);
        let Some(patch) = status_patch(&report, self.edge.clock.now()) else { return };
        let actor = self.clone();
        self.edge.tasks.spawn(async move {
            let pod = &report.pod;
            let pods = Api::<Pod>::namespaced(actor.transport.clone(), pod.namespace.clone());
            match pods.patch_status(&pod.name, patch).await {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(pod = %pod.key(), %error, "the pod's condition was not written");
                }
                _ => {}
            }
            if let Some(node) = report.nominate.as_deref() {
                actor.evict(pod, node, &report.victims).await;
            }
        });
    }

    async fn evict(&self, pod: &SharedPod, node: &str, victims: &[SharedPod]) {
        let evictions = victims.iter().map(|victim| self.evict_one(pod, node, victim));
        for (victim, result) in victims.iter().zip(futures::future::join_all(evictions).await) {
            if let Err(error) = result {
                tracing::warn!(pod = %pod.key(), victim = %victim.key(), %error, "preemption failed; it will be tried again");
                let _ = self.inputs.send(Input::NotPreempted { pod: pod.clone() });
            }
        }
    }

    async fn evict_one(&self, pod: &PodInfo, node: &str, victim: &PodInfo) -> Result<(), client::Error> {
        if victim.terminating {
            return Ok(());
        }
        let pods = Api::<Pod>::namespaced(self.transport.clone(), victim.namespace.clone());
        let now = rfc3339(self.edge.clock.now());
        let mut condition = value!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": format!("{SCHEDULER_NAME}: preempting to accommodate a higher priority pod"),
            "lastTransitionTime": now
        });
        set_generation(&mut condition, victim);
        let patch = Patch::strategic(value!({
            "metadata": {"uid": victim.uid.clone()},
            "status": {"conditions": [condition]}
        }));
        let gone = |result: Result<(), client::Error>| match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        };
        gone(pods.patch_status(&victim.name, patch).await.map(drop))?;
        gone(pods.delete(&victim.name, DeleteOptions::uid(victim.uid.clone())).await)?;
        let message = format!("Preempted by pod {} on node {node}", pod.uid);
        self.recorder.event(&victim.reference(), EventType::Normal, "Preempted", message);
        Ok(())
    }
}

/// The patch that writes condition and nomination; None where both are there.
fn status_patch(report: &Report, now: jiff::Timestamp) -> Option<Patch> {
    let pod = &report.pod;
    let before = pod.wishes().scheduled.as_ref();
    let same = before.is_some_and(|before| {
        before.status == "False" && before.reason == report.reason && before.message == report.message
    });
    let nominate = report.nominate.as_ref().filter(|node| **node != pod.wishes().nominated_node);
    if same && nominate.is_none() {
        return None;
    }
    let mut status = Value::object();
    if !same {
        let mut condition = value!({
            "type": "PodScheduled",
            "status": "False",
            "reason": report.reason,
            "message": report.message.as_str()
        });
        if before.is_none_or(|before| before.status != "False") {
            condition.set_at(&["lastTransitionTime"], Value::String(rfc3339(now)));
        }
        set_generation(&mut condition, pod);
        status.set_at(&["conditions"], Value::Array(vec![condition]));
    }
    if let Some(node) = nominate {
        let node = if node.is_empty() { Value::Null } else { Value::String(node.clone()) };
        status.set_at(&["nominatedNodeName"], node);
    }
    Some(Patch::strategic(value!({"metadata": {"uid": pod.uid.clone()}, "status": status})))
}

fn set_generation(condition: &mut Value, pod: &PodInfo) {
    if pod.generation != 0 {
        condition.set_at(&["observedGeneration"], Value::Int(pod.generation));
    }
}

fn rfc3339(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn shortened(message: &str) -> String {
    if message.len() <= EVENT_LENGTH {
        return message.to_owned();
    }
    let mut end = EVENT_LENGTH - " ...".len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}

#[cfg(test)]
mod tests;
