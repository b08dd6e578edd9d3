//! Whether a claim is protected. Pure.

use crate::pods::PodView;
use crate::protection::{self, Action};
use crate::volume_claims::ClaimView;

/// The finalizer of protected claims.
pub const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// A pod that was bound to a node uses its claims until it is gone: before,
/// the node would not start it with a claim that goes.
pub fn uses(pod: &PodView, claim: &str) -> bool {
    !pod.node.is_empty() && pod.claims.iter().any(|(_, name)| name == claim)
}

/// `used` tells whether any pod uses the claim.
pub fn plan(claim: &ClaimView, used: bool) -> Action {
    let protected = claim.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    protection::plan(claim.terminating, protected, used)
}
