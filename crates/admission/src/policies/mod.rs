//! Admission policies in CEL: ValidatingAdmissionPolicy and
//! MutatingAdmissionPolicy, compiled once for each change of them.

mod asker;
mod compiled;
mod environment;
mod evaluate;
mod mutating;
mod parameters;
mod request;
mod validating;

pub(crate) use asker::Asker;
pub(crate) use compiled::Conditions;
pub use environment::{Environments, hook_conditions};
pub(crate) use evaluate::{ErrorType, Inputs};
pub(crate) use mutating::MutatingAdmissionPolicy;
pub(crate) use request::request;
pub(crate) use validating::ValidatingAdmissionPolicy;
