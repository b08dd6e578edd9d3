//! Containers are ended: all of them at once but for sidecars, which go last
//! and in the reverse order of their start (KEP-753).

use super::{Plan, State, kill};
use crate::pod::record::PodRecord;
use crate::pod::spec::{PodExt, Role};

pub(super) fn plan(record: &PodRecord) -> Plan {
    let mut plan = Plan::new(State::Terminating);
    let Some(stopping) = record.stopping else { return plan };
    let is_sidecar = |name: &str| matches!(record.pod.container(name), Some((Role::Sidecar, _)));
    let mut others = record.alive().filter(|(name, _)| !is_sidecar(name)).map(|(name, _)| name).peekable();
    let stop = |plan: &mut Plan, name: &str| {
        kill(plan, record, name, stopping.deadline, &format!("Stopping container {name}"));
    };
    if others.peek().is_some() {
        others.for_each(|name| stop(&mut plan, name));
        return plan;
    }
    let sidecars = record.pod.containers().filter(|(role, _)| *role == Role::Sidecar);
    let last = sidecars
        .filter(|(_, container)| record.instance(&container.name).is_some_and(|one| one.is_alive()))
        .last();
    if let Some((_, container)) = last {
        stop(&mut plan, &container.name);
    }
    plan
}
