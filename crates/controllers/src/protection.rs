//! Finalizers that keep an object as long as it is used: when one comes and
//! goes (pure), and how it is written.

use client::{Api, Error, Object};
use informer::Outcome;

/// What to do about an object's finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Protect,
    Free,
}

/// Living objects are protected; one that goes is let go once nobody uses it.
pub fn plan(terminating: bool, protected: bool, used: bool) -> Action {
    match (terminating, protected) {
        (true, true) if !used => Action::Free,
        (false, false) => Action::Protect,
        _ => Action::Nothing,
    }
}

/// Writes `fresh`, which is as the API has it, with or without the finalizer.
pub async fn carry_out<K: Object>(
    api: &Api<K>,
    mut fresh: K,
    finalizer: &str,
    action: Action,
) -> Result<Outcome, Error> {
    if action == Action::Nothing {
        return Ok(Outcome::Done);
    }
    let finalizers = fresh.metadata_mut().finalizers.get_or_insert_default();
    finalizers.retain(|known| known != finalizer);
    if action == Action::Protect {
        finalizers.push(finalizer.to_owned());
    }
    match api.update(&fresh).await {
        Err(error) if error.is_not_found() => Ok(Outcome::Done),
        other => other.map(|_| Outcome::Done),
    }
}
