//! The kinds of `apiextensions.k8s.io`, and what a definition makes of the
//! kind that it defines.

mod columns;
pub mod custom_resource;
pub mod custom_resource_definition;
mod internal;
pub mod names;
mod rules;
pub mod served;
mod validation;
mod warnings;

use apimachinery::Value;
use jiff::Timestamp;

use crate::conditions;

/// Tells of a definition in a group of the community how far it is approved.
/// Whether anything changed.
pub fn approval(definition: &mut Value, now: Timestamp) -> bool {
    use validation::Approval;
    if !validation::is_protected(definition["spec"]["group"].text()) {
        return false;
    }
    let (state, message) = validation::approval_of(definition);
    let reason = match state {
        Approval::Missing => "MissingAnnotation",
        Approval::Bypassed => "UnapprovedAnnotation",
        Approval::Approved => "ApprovedAnnotation",
        Approval::Invalid => "InvalidAnnotation",
    };
    let told = conditions::Told {
        kind: "KubernetesAPIApprovalPolicyConformant",
        status: state == Approval::Approved,
        reason,
        message: &message,
    };
    let before = conditions::find(definition, told.kind).cloned();
    conditions::set(definition, told, now);
    before.as_ref() != conditions::find(definition, told.kind)
}
