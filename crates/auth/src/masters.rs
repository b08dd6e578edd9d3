//! `system:masters` may do anything: the way in when roles are lost.

use apiserver::{Action, Authorizer, Decision, View};

use crate::SYSTEM_MASTERS;

/// Allows everything to members of `system:masters`; first in the order of authorizers.
pub struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, action: &Action<'_>, _view: &View) -> Decision {
        if action.user.is_in(SYSTEM_MASTERS) { Decision::allow("") } else { Decision::no_opinion("") }
    }
}
