//! What a node's silence or its conditions mean for it. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::nodes::NodeView;
use crate::pods::PodView;

/// `--node-monitor-grace-period`: silent for longer, a node is given up.
pub const GRACE: Duration = Duration::from_secs(50);
/// `--node-startup-grace-period`, for nodes that never spoke.
pub const STARTUP_GRACE: Duration = Duration::from_secs(60);

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions, the status at which they taint, and the taint's key.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
/// Conditions that a silent node's kubelet no longer tells.
const TOLD_BY_KUBELET: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What was seen of a node.
pub struct Observed<'a> {
    pub node: &'a NodeView,
    /// Since its last heartbeat or renewed Lease was seen.
    pub silent: Duration,
    /// Its pods.
    pub pods: Vec<Arc<PodView>>,
    /// It may be given up now: its zone is not disrupted, and it is its turn.
    pub may_give_up: bool,
    /// Its zone is so disrupted that taints given before are taken back.
    pub take_back: bool,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sets conditions of the node's status.
    Conditions(Vec<NodeCondition>),
    /// Replaces the node's taints.
    Taints {
        taints: Vec<Taint>,
        /// The node was given up: pods will be evicted.
        gives_up: bool,
    },
    /// Takes the readiness of a pod, which nobody sees any more.
    PodNotReady(Arc<PodView>),
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// When the node's silence will be too long.
    pub again: Option<Duration>,
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let node = observed.node;
    let mut plan = Plan::default();
    if node.terminating {
        return plan;
    }
    let ready = node.condition("Ready");
    let spoke = ready.is_some_and(|ready| ready.last_heartbeat_time.is_some());
    let grace = if spoke { GRACE } else { STARTUP_GRACE };
    let silent = observed.silent >= grace;
    if silent {
        let conditions = unknown(observed, spoke);
        if !conditions.is_empty() {
            // The change brings the node back, with conditions to taint by.
            plan.actions.push(Action::Conditions(conditions));
            return plan;
        }
    } else {
        plan.again = Some(grace - observed.silent);
    }
    let taints = taints(observed);
    if !same_taints(&taints, &node.taints) {
        let gives_up = taints.iter().any(|taint| {
            taint.effect == "NoExecute"
                && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str())
                && !node.has_taint(&taint.key, &taint.effect)
        });
        plan.actions.push(Action::Taints { taints, gives_up });
    }
    if ready.is_some_and(|ready| ready.status != "True") {
        let ready_pods = observed.pods.iter().filter(|pod| pod.ready);
        plan.actions.extend(ready_pods.cloned().map(Action::PodNotReady));
    }
    plan
}

/// Whether the node waits for its turn to be given up.
pub fn waits_for_turn(node: &NodeView) -> bool {
    let status = node.condition("Ready").map(|ready| ready.status.as_str());
    let key = match status {
        Some("False") => NOT_READY,
        Some("Unknown") => UNREACHABLE,
        _ => return false,
    };
    // The first to come replaces the other at once.
    !node.has_taint(key, "NoExecute")
        && !node.has_taint(NOT_READY, "NoExecute")
        && !node.has_taint(UNREACHABLE, "NoExecute")
}

/// The conditions of a silent node that do not say so yet.
fn unknown(observed: &Observed<'_>, spoke: bool) -> Vec<NodeCondition> {
    let (reason, message) = match spoke {
        true => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
        false => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
    };
    TOLD_BY_KUBELET
        .iter()
        .filter_map(|kind| {
            let known = observed.node.condition(kind);
            if known.is_some_and(|condition| condition.status == "Unknown") {
                return None;
            }
            let created = || Time(observed.node.created);
            Some(NodeCondition {
                type_: (*kind).to_owned(),
                status: "Unknown".into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: known
                    .map_or_else(|| Some(created()), |condition| condition.last_heartbeat_time.clone()),
                last_transition_time: Some(Time(observed.now)),
            })
        })
        .collect()
}

/// The taints that the node should have: those of others as they are, then
/// its conditions'.
fn taints(observed: &Observed<'_>) -> Vec<Taint> {
    let node = observed.node;
    let ours = |taint: &Taint| {
        let of_condition = BY_CONDITION.iter().any(|(_, _, key)| taint.key == *key);
        match taint.effect.as_str() {
            "NoSchedule" => of_condition || taint.key == UNSCHEDULABLE,
            "NoExecute" => [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()),
            _ => false,
        }
    };
    let mut taints: Vec<Taint> = node.taints.iter().filter(|taint| !ours(taint)).cloned().collect();
    let mut want = |key: &str, effect: &str| {
        let known = node.taints.iter().find(|taint| taint.key == key && taint.effect == effect);
        taints.push(known.cloned().unwrap_or_else(|| Taint {
            key: key.into(),
            effect: effect.into(),
            time_added: Some(Time(observed.now)),
            value: None,
        }));
    };
    let given_up = node.has_taint(NOT_READY, "NoExecute") || node.has_taint(UNREACHABLE, "NoExecute");
    let give_up = (given_up || observed.may_give_up) && !observed.take_back;
    if node.conditions.iter().all(|condition| condition.type_ != "Ready")
        && node.has_taint(NOT_READY, "NoSchedule")
    {
        // A node that has not said anything keeps what it registered with.
        want(NOT_READY, "NoSchedule");
    }
    for (kind, status, key) in BY_CONDITION {
        if node.condition(kind).is_some_and(|condition| condition.status == status) {
            want(key, "NoSchedule");
            if kind == "Ready" && give_up {
                want(key, "NoExecute");
            }
        }
    }
    if node.unschedulable {
        want(UNSCHEDULABLE, "NoSchedule");
    }
    taints
}

fn same_taints(a: &[Taint], b: &[Taint]) -> bool {
    let all_in = |a: &[Taint], b: &[Taint]| {
        a.iter().all(|taint| b.iter().any(|other| (&taint.key, &taint.effect) == (&other.key, &other.effect)))
    };
    a.len() == b.len() && all_in(a, b) && all_in(b, a)
}
