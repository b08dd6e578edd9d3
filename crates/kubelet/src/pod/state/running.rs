//! Every container that should run is brought up, in the order of the
//! specification; one that cannot be started does not hold up the others.

use jiff::Timestamp;

use super::{Fate, Order, Plan, State, bring_up, bring_up_ephemeral, end_condemned, fate};
use crate::pod::record::PodRecord;
use crate::pod::spec::{PodExt, Role};

pub(super) fn plan(record: &PodRecord, now: Timestamp) -> Plan {
    let mut plan = Plan::new(State::Running);
    end_condemned(&mut plan, record);
    bring_up_ephemeral(&mut plan, record, now);
    for (role, container) in record.pod.containers() {
        if role == Role::Init {
            continue;
        }
        match fate(record, role, container) {
            Fate::Alive | Fate::Done { .. } => {}
            Fate::NotStarted | Fate::Restarting { .. } => {
                if bring_up(&mut plan, record, container, now) == Order::Wait {
                    break;
                }
            }
        }
    }
    plan
}
