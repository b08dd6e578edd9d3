//! What happens to an object, given how its owners and dependents stand. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::graph::{FOREGROUND, ORPHAN, State};

/// How an owner stands, asked for live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It is there.
    Solid,
    /// It is there, and waits for its dependents to go.
    Waiting,
    /// There is no such object, or another of its name.
    Absent,
    /// Its kind is not known (yet), so nothing can be said.
    Unknown,
    /// A namespaced owner of a cluster-scoped object: never valid.
    Invalid,
}

/// What was seen of an object.
pub struct Observed<'a> {
    pub finalizers: &'a [String],
    pub terminating: bool,
    pub owners: &'a [(OwnerReference, OwnerState)],
    pub dependents: Vec<Dependent>,
}

#[derive(Clone, Copy, Debug)]
pub struct Dependent {
    /// The object's foreground deletion waits for it.
    pub blocks: bool,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Nothing,
    /// An owner's kind is unknown: ask again later.
    Later,
    /// Keep the object with these owners only.
    KeepOwners(Vec<OwnerReference>),
    Delete {
        /// `Foreground`, `Background` or `Orphan`.
        propagation: client::Propagation,
        /// Its dependents wait for it and it for them: its owners' deletion
        /// no longer waits for it.
        unblock: bool,
    },
    /// Delete what it waits for.
    DeleteDependents,
    /// Set its dependents free, then remove the finalizer.
    FreeDependents,
    RemoveFinalizer(&'static str),
}

pub fn plan(observed: &Observed<'_>) -> Action {
    match State::of(observed.terminating, observed.finalizers) {
        State::Terminating => Action::Nothing,
        State::Orphaning if observed.dependents.is_empty() => Action::RemoveFinalizer(ORPHAN),
        State::Orphaning => Action::FreeDependents,
        State::Foreground => {
            let mut blocking = observed.dependents.iter().filter(|dependent| dependent.blocks).peekable();
            match blocking.peek() {
                None => Action::RemoveFinalizer(FOREGROUND),
                Some(_) => Action::DeleteDependents,
            }
        }
        State::Living => living(observed),
    }
}

fn living(observed: &Observed<'_>) -> Action {
    let count = |state: OwnerState| observed.owners.iter().filter(|(_, of)| *of == state).count();
    if observed.owners.is_empty() {
        return Action::Nothing;
    }
    // Nothing can be said of it, now or later.
    if count(OwnerState::Invalid) > 0 {
        return Action::Nothing;
    }
    if count(OwnerState::Unknown) > 0 {
        return Action::Later;
    }
    if count(OwnerState::Solid) > 0 {
        if count(OwnerState::Solid) == observed.owners.len() {
            return Action::Nothing;
        }
        let solid = observed.owners.iter().filter(|(_, state)| *state == OwnerState::Solid);
        return Action::KeepOwners(solid.map(|(owner, _)| owner.clone()).collect());
    }
    if count(OwnerState::Waiting) > 0 && !observed.dependents.is_empty() {
        let circle = observed.dependents.iter().any(|dependent| dependent.state == State::Foreground);
        return Action::Delete { propagation: client::Propagation::Foreground, unblock: circle };
    }
    let has = |name: &str| observed.finalizers.iter().any(|finalizer| finalizer == name);
    let propagation = match (has(ORPHAN), has(FOREGROUND)) {
        (true, _) => client::Propagation::Orphan,
        (_, true) => client::Propagation::Foreground,
        _ => client::Propagation::Background,
    };
    Action::Delete { propagation, unblock: false }
}
