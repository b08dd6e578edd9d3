//! Who owns whom, over all kinds. Pure.
//!
//! Of most objects only the uid and hashes of their coordinates are kept (40
//! bytes or so); whole entries only of those that have owners or are being
//! deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::everything::{Kind, Node};

pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

/// A uid as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(u128);

impl Uid {
    /// The digits of a UUID; of any other text a hash (FNV-1a, 128 bits).
    pub fn of(text: &str) -> Self {
        let digits = text.replace('-', "");
        match (digits.len(), u128::from_str_radix(&digits, 16)) {
            (32, Ok(number)) => Uid(number),
            _ => Uid(text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
                (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
            })),
        }
    }
}

/// How an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Living,
    /// Being deleted, and nothing here waits for it.
    Terminating,
    /// Being deleted, after its dependents.
    Foreground,
    /// Being deleted, after its dependents were set free.
    Orphaning,
}

impl State {
    pub fn of(terminating: bool, finalizers: &[String]) -> Self {
        let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
        match terminating {
            false => State::Living,
            true if has(ORPHAN) => State::Orphaning,
            true if has(FOREGROUND) => State::Foreground,
            true => State::Terminating,
        }
    }
}

/// An object that has owners or is being deleted.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Arc<Kind>,
    pub namespace: String,
    pub name: String,
    /// Each owner, and whether its foreground deletion waits for this object.
    pub owners: Vec<(Uid, bool)>,
    pub state: State,
}

/// Where an object is: hashes of its namespace and of its kind and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    namespace: u32,
    name: u32,
}

impl Place {
    fn of(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { namespace: hash([namespace]), name: hash([group, kind, name]) }
    }

    fn is_elsewhere(self, namespace: &str) -> bool {
        self.namespace != hash([""]) && self.namespace != hash([namespace])
    }
}

#[derive(Default)]
pub struct Graph {
    /// Every object, and where it is.
    present: BTreeMap<Uid, Place>,
    entries: BTreeMap<Uid, Entry>,
    dependents: BTreeMap<Uid, BTreeSet<Uid>>,
}

impl Graph {
    /// Takes in a change and gives the objects to look at.
    pub fn apply(&mut self, kind: &Arc<Kind>, old: Option<&Node>, new: Option<&Node>) -> Vec<Uid> {
        let mut wake = Vec::new();
        let replaced = old.filter(|old| new.is_none_or(|new| new.uid != old.uid));
        if let Some(gone) = replaced {
            self.remove(Uid::of(&gone.uid), &mut wake);
        }
        if let Some(new) = new {
            self.put(kind, new, &mut wake);
        }
        wake
    }

    fn put(&mut self, kind: &Arc<Kind>, node: &Node, wake: &mut Vec<Uid>) {
        let uid = Uid::of(&node.uid);
        let namespace = node.namespace.as_str();
        let place = Place::of(&kind.resource.group, &kind.kind, namespace, &node.name);
        if self.present.insert(uid, place).is_none() {
            // Those that it can never own are told so.
            let deluded = self.dependents(uid).into_iter();
            let deluded = deluded.filter(|(_, entry)| place.is_elsewhere(&entry.namespace));
            wake.extend(deluded.map(|(uid, _)| uid));
        }
        let before = self.unlink(uid);
        let state = State::of(node.terminating, &node.finalizers);
        if node.owners.is_empty() && state == State::Living {
            return;
        }
        let owners: Vec<(Uid, bool)> = node
            .owners
            .iter()
            .map(|owner| (Uid::of(&owner.uid), owner.block_owner_deletion == Some(true)))
            .collect();
        for (owner, _) in &owners {
            self.dependents.entry(*owner).or_default().insert(uid);
            // It may have been the last that its owner waited for.
            if self.entries.get(owner).is_some_and(|owner| owner.state == State::Foreground) {
                wake.push(*owner);
            }
        }
        let news = before.as_ref().is_none_or(|before| before.owners != owners || before.state != state);
        let doubtful = node.owners.iter().any(|owner| !self.is_there(owner, kind.namespaced, namespace));
        match state {
            State::Living if doubtful && news => wake.push(uid),
            State::Foreground | State::Orphaning => wake.push(uid),
            _ => {}
        }
        for (owner, _) in before.iter().flat_map(|before| &before.owners) {
            if self.entries.get(owner).is_some_and(|owner| owner.state == State::Foreground) {
                wake.push(*owner);
            }
        }
        let entry = Entry {
            kind: kind.clone(),
            namespace: node.namespace.clone(),
            name: node.name.clone(),
            owners,
            state,
        };
        self.entries.insert(uid, entry);
    }

    fn remove(&mut self, uid: Uid, wake: &mut Vec<Uid>) {
        self.present.remove(&uid);
        let entry = self.unlink(uid);
        // Owners that wait for it, and dependents that have lost it.
        wake.extend(entry.iter().flat_map(|entry| entry.owners.iter().map(|(owner, _)| *owner)));
        wake.extend(self.dependents.get(&uid).into_iter().flatten());
    }

    fn unlink(&mut self, uid: Uid) -> Option<Entry> {
        let entry = self.entries.remove(&uid)?;
        for (owner, _) in &entry.owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(&uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        Some(entry)
    }

    /// Whether the owner is there, under the coordinates that the reference
    /// tells, and is not being deleted in the foreground.
    fn is_there(
        &self,
        owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
        namespaced: bool,
        namespace: &str,
    ) -> bool {
        let uid = Uid::of(&owner.uid);
        let Some(known) = self.present.get(&uid) else { return false };
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let cluster = Place::of(group, &owner.kind, "", &owner.name);
        let beside = Place::of(group, &owner.kind, namespace, &owner.name);
        let waits = self.entries.get(&uid).is_some_and(|entry| entry.state == State::Foreground);
        (*known == cluster || (namespaced && *known == beside)) && !waits
    }

    /// Whether the object is of a namespace, and not of this one ("" is none).
    pub fn is_elsewhere(&self, uid: Uid, namespace: &str) -> bool {
        self.present.get(&uid).is_some_and(|place| place.is_elsewhere(namespace))
    }

    pub fn entry(&self, uid: Uid) -> Option<&Entry> {
        self.entries.get(&uid)
    }

    pub fn dependents(&self, uid: Uid) -> Vec<(Uid, &Entry)> {
        let uids = self.dependents.get(&uid).into_iter().flatten();
        uids.filter_map(|uid| Some((*uid, self.entries.get(uid)?))).collect()
    }
}

/// FNV-1a, 32 bits.
fn hash<const N: usize>(parts: [&str; N]) -> u32 {
    parts.iter().fold(0x811c_9dc5, |hash, part| {
        let bytes = part.bytes().chain([0]);
        bytes.fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    })
}
