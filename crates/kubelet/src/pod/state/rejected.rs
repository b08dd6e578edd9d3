//! The node refused the pod: nothing of it is here, and its object waits for
//! someone to delete it.

use super::{Action, Plan, State};
use crate::pod::record::PodRecord;
use crate::pod::spec::PodExt;

pub(super) fn plan(record: &PodRecord) -> Plan {
    let mut plan = Plan::new(State::Rejected);
    if record.pod.is_deleted() && record.reported && !record.removed && !record.deleted {
        plan.push(record, Action::Delete);
    }
    plan
}
