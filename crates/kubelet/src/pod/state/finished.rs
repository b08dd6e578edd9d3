//! Nothing runs any more: network and mounts are given back, logs and exit
//! codes stay until the object is deleted.

use super::{Action, Plan, State};
use crate::pod::record::{Operation, PodRecord, Sandbox, Step};
use crate::pod::spec::PodExt;

pub(super) fn plan(record: &PodRecord) -> Plan {
    let mut plan = Plan::new(State::Finished);
    // What is half made is finished first, then taken down.
    if record.is_doing(&Operation::Sandbox) || record.is_doing(&Operation::Volumes) {
        return plan;
    }
    if matches!(record.sandbox, Sandbox::Ready { .. } | Sandbox::Dead { .. }) {
        plan.push(record, Action::StopSandbox);
        return plan;
    }
    if record.is_doing(&Operation::StopSandbox) {
        return plan;
    }
    if record.removed || (record.pod.is_deleted() && record.reported) {
        if !record.cleaned {
            plan.push(record, Action::Cleanup);
        } else if !record.removed && !record.deleted {
            plan.push(record, Action::Delete);
        }
    } else if record.volumes != Step::Pending {
        plan.push(record, Action::UnmountVolumes);
    }
    plan
}
