//! Init containers one after the other; sidecars stay and the next one waits
//! only for their start.

use jiff::Timestamp;

use super::{Fate, Plan, State, bring_up, bring_up_ephemeral, end_condemned, fate};
use crate::pod::record::PodRecord;
use crate::pod::spec::{PodExt, Role};

pub(super) fn plan(record: &PodRecord, now: Timestamp) -> Plan {
    let mut plan = Plan::new(State::Initializing);
    end_condemned(&mut plan, record);
    bring_up_ephemeral(&mut plan, record, now);
    for (role, container) in record.pod.containers() {
        if role == Role::Main {
            break;
        }
        match fate(record, role, container) {
            Fate::Done { .. } => {}
            Fate::Alive => {
                let passed = record.instance(&container.name).is_some_and(|one| one.startup_passed);
                if role == Role::Init || !passed {
                    break;
                }
            }
            Fate::NotStarted | Fate::Restarting { .. } => {
                bring_up(&mut plan, record, container, now);
                break;
            }
        }
    }
    plan
}
