//! The kinds of `admissionregistration.k8s.io`.

mod matching;
pub mod policies;
pub mod webhooks;
