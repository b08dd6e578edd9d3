//! Pods, and templates of pods.

use apimachinery::{Value, time, value};
use jiff::Timestamp;

use super::words::{NONE, age, cells, condition, containers, labels, name, number, or, since};

/// That the pod has ended, where it has.
pub fn conditions(object: &Value) -> Vec<Value> {
    let (reason, message) = match object["status"]["phase"].text() {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![value!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

/// Name, Ready, Status, Restarts, Age, IP, Node, Nominated Node, Readiness Gates.
pub fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some((_, moment)) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, since(moment, now))
        }
        _ => summary.restarts.to_string(),
    };
    let (spec, status) = (&pod["spec"], &pod["status"]);
    cells![
        name(pod),
        format!("{}/{}", summary.ready, summary.total),
        summary.reason,
        restarts,
        age(pod, now),
        or(&status["podIPs"][0]["ip"], NONE),
        or(&spec["nodeName"], NONE),
        or(&status["nominatedNodeName"], NONE),
        readiness_gates(pod),
    ]
}

/// Name, Containers, Images, Pod Labels.
pub fn template(template: &Value, _: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&template["template"]["spec"]);
    cells![name(template), names, images, labels(&template["template"]["metadata"]["labels"])]
}

/// What the statuses of a pod's containers come to.
struct Summary<'a> {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    /// When the last one ended, parsed and as it is written.
    last_restart: Option<(Timestamp, &'a Value)>,
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let sidecars =
            spec["initContainers"].items().iter().filter(|container| is_sidecar(container)).count();
        let mut summary = Summary {
            ready: 0,
            total: spec["containers"].items().len() + sidecars,
            reason: first_reason(status),
            restarts: 0,
            last_restart: None,
        };
        let initializing = summary.add_init_containers(spec, status);
        if !initializing || condition(pod, "Initialized")["status"].text() == "True" {
            summary.add_containers(spec, pod);
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            if status["reason"].text() == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if !matches!(status["phase"].text(), "Succeeded" | "Failed") {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    fn add_restarts(&mut self, container: &'a Value) {
        self.restarts += number(&container["restartCount"]);
        let ended = &container["lastState"]["terminated"]["finishedAt"];
        if let Some(moment) = ended.as_str().and_then(time::parse)
            && self.last_restart.is_none_or(|(last, _)| last < moment)
        {
            self.last_restart = Some((moment, ended));
        }
    }

    /// Whether an init container keeps the pod from starting; the reason says which.
    fn add_init_containers(&mut self, spec: &Value, status: &'a Value) -> bool {
        for (at, container) in status["initContainerStatuses"].items().iter().enumerate() {
            self.add_restarts(container);
            let state = &container["state"];
            let terminated = &state["terminated"];
            let waiting = state["waiting"]["reason"].text();
            if !terminated.is_null() && number(&terminated["exitCode"]) == 0 {
                continue;
            }
            if named_sidecar(spec, container["name"].text()) && container["started"].is_true() {
                self.ready += usize::from(container["ready"].is_true());
                continue;
            }
            self.reason = if !terminated.is_null() {
                format!("Init:{}", end_of(terminated))
            } else if !matches!(waiting, "" | "PodInitializing") {
                format!("Init:{waiting}")
            } else {
                format!("Init:{at}/{}", spec["initContainers"].items().len())
            };
            return true;
        }
        false
    }

    /// The containers proper; of the init containers only sidecars' restarts count then.
    fn add_containers(&mut self, spec: &Value, pod: &'a Value) {
        let status = &pod["status"];
        self.restarts = 0;
        self.last_restart = None;
        for container in status["initContainerStatuses"].items() {
            if named_sidecar(spec, container["name"].text()) {
                self.add_restarts(container);
            }
        }
        let mut running = false;
        for container in status["containerStatuses"].items().iter().rev() {
            self.add_restarts(container);
            let state = &container["state"];
            let waiting = state["waiting"]["reason"].text();
            if !waiting.is_empty() {
                self.reason = waiting.into();
            } else if !state["terminated"].is_null() {
                self.reason = end_of(&state["terminated"]);
            } else if container["ready"].is_true() && !state["running"].is_null() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition(pod, "Ready")["status"].text() == "True";
            self.reason = if ready { "Running" } else { "NotReady" }.into();
        }
    }
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"].text() == "Always"
}

fn named_sidecar(spec: &Value, name: &str) -> bool {
    spec["initContainers"]
        .items()
        .iter()
        .any(|container| container["name"].text() == name && is_sidecar(container))
}

/// The phase, or what the status says instead.
fn first_reason(status: &Value) -> String {
    let gated = status["conditions"].items().iter().any(|condition| {
        condition["type"].text() == "PodScheduled" && condition["reason"].text() == "SchedulingGated"
    });
    if gated {
        return "SchedulingGated".into();
    }
    or(&status["reason"], status["phase"].text()).into()
}

/// How a container ended: its reason, signal or exit code.
fn end_of(terminated: &Value) -> String {
    let reason = terminated["reason"].text();
    let signal = number(&terminated["signal"]);
    if !reason.is_empty() {
        reason.into()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", number(&terminated["exitCode"]))
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = pod["spec"]["readinessGates"].items();
    if gates.is_empty() {
        return NONE.into();
    }
    let open = gates
        .iter()
        .filter(|gate| condition(pod, gate["conditionType"].text())["status"].text() == "True")
        .count();
    format!("{open}/{}", gates.len())
}
