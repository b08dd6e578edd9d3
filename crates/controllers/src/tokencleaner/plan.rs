//! When a token goes. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::bootstrap_tokens::time_left;

#[derive(Debug, PartialEq)]
pub enum Action {
    Nothing,
    Delete,
    Again(Duration),
}

pub fn plan(token: &Secret, now: Timestamp) -> Action {
    match time_left(token, now) {
        None => Action::Nothing,
        Some(Duration::ZERO) => Action::Delete,
        Some(left) => Action::Again(left),
    }
}
