//! The life of a pod on its node, one state a file.
//!
//! ```text
//!              ┌──────────► Rejected ───────────────────────────┐
//!  (bound) ────┼► Preparing ─► Initializing ─► Running           │ deleted
//!              │      │ ▲           │             │  │ sandbox   ▼
//!              │      │ └───────────┼─────────────┘  │ died    (gone)
//!              │      └─────────────┴──► Terminating ◄┘          ▲
//!              │                             │ all ended         │ deleted
//!              └─────────────────────────► Finished ─────────────┘
//! ```
//!
//! The state is never stored: [`state_of`] reads it from what is there, so a
//! restart, a lost event or a change of mind all take the same way. A plan is
//! pure; it never waits and never asks the machine.

mod finished;
mod initializing;
mod preparing;
mod rejected;
mod running;
mod terminating;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container;

use super::backoff::Failure;
use super::record::{ContainerRecord, ImageStep, Operation, PodRecord, Stopping, Verdict};
use super::spec::{PodExt, Role, restarts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Rejected,
    Preparing,
    Initializing,
    Running,
    Terminating,
    Finished,
}

/// What to do now. An action whose [`Operation`] is under way is never
/// planned again (a kill with less grace excepted).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    CreateSandbox,
    StopSandbox,
    MountVolumes,
    /// Brings what volumes show up to date.
    RefreshVolumes,
    UnmountVolumes,
    EnsureImage {
        container: String,
    },
    Start {
        container: String,
    },
    Kill {
        container: String,
        deadline: Timestamp,
        message: String,
    },
    /// Says in an event that the container waits before it is restarted.
    TellBackOff {
        container: String,
    },
    /// Says that the image is tried again later.
    TellImageBackOff {
        container: String,
    },
    /// Removes whatever the pod has on the node.
    Cleanup,
    /// Deletes the object, which only waited for the node.
    Delete,
}

impl Action {
    /// What marks the action as under way; None for what is done at once.
    pub fn operation(&self) -> Option<Operation> {
        Some(match self {
            Action::CreateSandbox => Operation::Sandbox,
            Action::StopSandbox => Operation::StopSandbox,
            Action::MountVolumes => Operation::Volumes,
            Action::UnmountVolumes => Operation::Unmount,
            Action::EnsureImage { container } => Operation::Image(container.clone()),
            Action::Start { container } => Operation::Start(container.clone()),
            Action::Kill { container, .. } => Operation::Kill(container.clone()),
            Action::RefreshVolumes => Operation::Refresh,
            Action::TellBackOff { .. } | Action::TellImageBackOff { .. } => return None,
            Action::Cleanup => Operation::Cleanup,
            Action::Delete => Operation::Delete,
        })
    }
}

/// The actions of one step, and when to look again though nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub state: State,
    pub actions: Vec<Action>,
    pub wake: Option<Timestamp>,
}

impl Plan {
    fn new(state: State) -> Self {
        Self { state, actions: Vec::new(), wake: None }
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Adds `action` unless it is under way.
    fn push(&mut self, record: &PodRecord, action: Action) {
        if action.operation().is_none_or(|operation| !record.is_doing(&operation)) {
            self.actions.push(action);
        }
    }
}

/// Takes note of what time alone brings: the deadline and the start of the end.
pub fn advance(record: &mut PodRecord, now: Timestamp) {
    if let Some(deadline) = active_deadline(record)
        && now >= deadline
        && !stop_wanted(record)
    {
        record.ended = Some(Verdict {
            reason: "DeadlineExceeded".into(),
            message: "Pod was active on the node longer than the specified deadline".into(),
        });
    }
    if !stop_wanted(record) {
        return;
    }
    // Who was removed by force has given up its grace.
    let grace = match record.removed && !record.pod.is_deleted() {
        true => record.pod.grace_seconds(),
        false => record.pod.grace_seconds().max(1),
    };
    let since = record.stopping.map_or(now, |stopping| stopping.since);
    record.stopping = Some(Stopping { since, deadline: after(since, grace) });
}

/// The next step of the pod.
pub fn plan(record: &PodRecord, now: Timestamp) -> Plan {
    let state = state_of(record);
    let mut plan = match state {
        State::Rejected => rejected::plan(record),
        State::Preparing => preparing::plan(record, now),
        State::Initializing => initializing::plan(record, now),
        State::Running => running::plan(record, now),
        State::Terminating => terminating::plan(record),
        State::Finished => finished::plan(record),
    };
    if let Some(deadline) = active_deadline(record).filter(|_| !stop_wanted(record)) {
        plan.wake_at(deadline);
    }
    if record.volumes.is_done() && matches!(state, State::Initializing | State::Running) {
        match record.refresh_at {
            _ if record.stale => plan.push(record, Action::RefreshVolumes),
            Some(at) if now >= at => plan.push(record, Action::RefreshVolumes),
            Some(at) => plan.wake_at(at),
            None => {}
        }
    }
    plan
}

pub fn state_of(record: &PodRecord) -> State {
    if record.rejected.is_some() {
        return State::Rejected;
    }
    if stop_wanted(record) {
        let starting = record.in_flight.keys().any(|operation| matches!(operation, Operation::Start(_)));
        let alive = record.alive().next().is_some();
        return if alive || starting { State::Terminating } else { State::Finished };
    }
    if !record.sandbox.is_ready() || !record.volumes.is_done() {
        return State::Preparing;
    }
    if is_initialized(record) { State::Running } else { State::Initializing }
}

/// Whether nothing of the pod may be started any more.
pub fn stop_wanted(record: &PodRecord) -> bool {
    record.removed
        || record.pod.is_deleted()
        || record.ended.is_some()
        || record.pod.is_terminal()
        || is_complete(record)
}

/// Every container has run to its end, or an init container failed for good.
pub fn is_complete(record: &PodRecord) -> bool {
    let mut mains = record.pod.containers().filter(|(role, _)| *role == Role::Main).peekable();
    mains.peek().is_some()
        && mains.all(|(role, container)| matches!(fate(record, role, container), Fate::Done { .. }))
        || record.pod.containers().filter(|(role, _)| *role == Role::Init).any(
            |(role, container)| matches!(fate(record, role, container), Fate::Done { code } if code != 0),
        )
}

/// Init containers are done. Once a main container of this sandbox was made,
/// they are, whatever was collected since.
pub fn is_initialized(record: &PodRecord) -> bool {
    record.pod.containers().any(|(role, one)| role == Role::Main && record.instance(&one.name).is_some())
        || record.pod.containers().all(|(role, container)| match role {
            Role::Init => fate(record, role, container) == Fate::Done { code: 0 },
            Role::Sidecar => record
                .instance(&container.name)
                .is_some_and(|instance| instance.is_running() && instance.startup_passed),
            Role::Main | Role::Ephemeral => true,
        })
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    NotStarted,
    Alive,
    /// It ended and will run again.
    Restarting {
        finished: Timestamp,
    },
    Done {
        code: i32,
    },
}

pub fn fate(record: &PodRecord, role: Role, container: &Container) -> Fate {
    let Some(instance) = record.instance(&container.name) else { return Fate::NotStarted };
    match &instance.exit {
        None => Fate::Alive,
        Some(exit) if restarts(&record.pod, role, container, exit.code) => {
            Fate::Restarting { finished: exit.finished }
        }
        Some(exit) => Fate::Done { code: exit.code },
    }
}

fn active_deadline(record: &PodRecord) -> Option<Timestamp> {
    let seconds = record.pod.spec().active_deadline_seconds?;
    Some(after(record.started, seconds))
}

fn after(start: Timestamp, seconds: i64) -> Timestamp {
    start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Whether the containers behind one in the order of start must wait for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Wait,
    GoOn,
}

/// Plans whatever brings a container that is not alive nearer to its start.
fn bring_up(plan: &mut Plan, record: &PodRecord, container: &Container, now: Timestamp) -> Order {
    static NEW: std::sync::LazyLock<ContainerRecord> = std::sync::LazyLock::new(ContainerRecord::default);
    let name = &container.name;
    let own = record.containers.get(name).unwrap_or(&NEW);
    if record.is_doing(&Operation::Start(name.clone())) {
        return Order::Wait;
    }
    if let Some(failure) = own.failure.as_ref().filter(|failure| now < failure.until) {
        plan.wake_at(failure.until);
        return Order::GoOn;
    }
    let finished = own.current.as_ref().and_then(|instance| instance.exit.as_ref()).map(|exit| exit.finished);
    if let Some(finished) = finished
        && let Some((_, until)) = own.backoff.pause(finished, now)
    {
        if own.told != Some(finished) {
            plan.push(record, Action::TellBackOff { container: name.clone() });
        }
        plan.wake_at(until);
        return Order::GoOn;
    }
    match &own.image {
        ImageStep::Present(_) => {
            let busy = record.in_flight.keys().any(|operation| matches!(operation, Operation::Start(_)));
            let planned = plan.actions.iter().any(|action| matches!(action, Action::Start { .. }));
            if !busy && !planned {
                plan.push(record, Action::Start { container: name.clone() });
            }
            Order::Wait
        }
        ImageStep::Failed(failure) if now < failure.until => {
            wait_for_image(plan, record, name, failure, now);
            Order::GoOn
        }
        ImageStep::Unknown | ImageStep::Failed(_) => {
            plan.push(record, Action::EnsureImage { container: name.clone() });
            Order::Wait
        }
    }
}

/// Plans what debugging containers need: they wait for nothing but the sandbox
/// and its volumes, and never run twice.
fn bring_up_ephemeral(plan: &mut Plan, record: &PodRecord, now: Timestamp) {
    for container in record.pod.ephemeral_containers() {
        if fate(record, Role::Ephemeral, &container) == Fate::NotStarted {
            bring_up(plan, record, &container, now);
        }
    }
}

/// So long the error itself is shown before the back-off is.
const SHOWN: SignedDuration = SignedDuration::from_secs(1);

fn wait_for_image(plan: &mut Plan, record: &PodRecord, container: &str, failure: &Failure, now: Timestamp) {
    plan.wake_at(failure.until);
    if failure.reason != "ErrImagePull" {
        return;
    }
    let failed = failure.until.saturating_sub(failure.delay).unwrap_or(now);
    let tell_at = failed.saturating_add(SHOWN).unwrap_or(now);
    if now >= tell_at {
        plan.push(record, Action::TellImageBackOff { container: container.to_owned() });
    } else {
        plan.wake_at(tell_at);
    }
}

/// Ends containers that must not go on though their pod does.
fn end_condemned(plan: &mut Plan, record: &PodRecord) {
    for (name, instance) in record.alive() {
        if let Some(condemned) = &instance.condemned {
            let deadline = after(condemned.since, condemned.grace_seconds);
            kill(plan, record, name, deadline, &condemned.message);
        }
    }
}

/// Plans a kill, again only with less grace than the one under way.
fn kill(plan: &mut Plan, record: &PodRecord, container: &str, deadline: Timestamp, message: &str) {
    let under_way = record.in_flight.get(&Operation::Kill(container.to_owned()));
    if under_way.is_none_or(|other| deadline < *other) {
        plan.actions.push(Action::Kill {
            container: container.to_owned(),
            deadline,
            message: message.to_owned(),
        });
    }
}
