//! The kinds of `admissionregistration.k8s.io`.

pub mod policies;
pub mod webhooks;
