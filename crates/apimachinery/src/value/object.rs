//! The members of a JSON object, in their order.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Key, Value};

/// From how many members on they are looked up by an index.
const MANY: usize = 64;

/// An object's members in the order in which they were added. A name occurs once.
///
/// Most objects are small, so that a search through them is faster than a map; those
/// that are not have an index, so that nothing that a client sends makes work for the
/// square of its size. Equality disregards the order.
#[derive(Clone, Debug)]
pub struct Object(Members);

#[derive(Clone, Debug)]
enum Members {
    Few(Vec<(Key, Value)>),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    list: Vec<(Key, Value)>,
    /// Where each member is, from when one is first looked for.
    places: OnceLock<HashMap<Box<str>, usize>>,
}

impl Clone for Many {
    fn clone(&self) -> Self {
        Self { list: self.list.clone(), places: OnceLock::new() }
    }
}

impl Many {
    fn places(&self) -> &HashMap<Box<str>, usize> {
        self.places.get_or_init(|| {
            let names = self.list.iter().enumerate();
            names.map(|(at, (name, _))| (Box::from(name.as_ref()), at)).collect()
        })
    }

    fn push(&mut self, name: Key, value: Value) {
        if let Some(places) = self.places.get_mut() {
            places.insert(Box::from(name.as_ref()), self.list.len());
        }
        self.list.push((name, value));
    }

    fn remove(&mut self, at: usize) -> Value {
        let (name, value) = self.list.remove(at);
        if let Some(places) = self.places.get_mut() {
            places.remove(name.as_ref());
            for place in places.values_mut().filter(|place| **place > at) {
                *place -= 1;
            }
        }
        value
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<(Key, Value)>> for Object {
    /// Of members with names of their own.
    fn from(list: Vec<(Key, Value)>) -> Self {
        Self(if list.len() < MANY {
            Members::Few(list)
        } else {
            Members::Many(Box::new(Many { list, places: OnceLock::new() }))
        })
    }
}

impl Object {
    pub const fn new() -> Self {
        Self(Members::Few(Vec::new()))
    }

    pub fn with_capacity(members: usize) -> Self {
        Self(Members::Few(Vec::with_capacity(members)))
    }

    /// An object of members that may repeat names: of each, the last stays.
    pub fn with_last_of_each(members: Vec<(Key, Value)>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        if members.iter().all(|(key, _)| seen.insert(key.as_ref())) {
            return Self::from(members);
        }
        members.into_iter().collect()
    }

    pub fn len(&self) -> usize {
        self.raw().len()
    }

    pub fn is_empty(&self) -> bool {
        self.raw().is_empty()
    }

    /// Where among [`Object::raw`] a member is.
    pub fn position(&self, name: &str) -> Option<usize> {
        match &self.0 {
            Members::Few(list) => list.iter().position(|(key, _)| key == name),
            Members::Many(many) => many.places().get(name).copied(),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).map(|at| &self.raw()[at].1)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.position(name).map(|at| self.value_mut(at))
    }

    fn value_mut(&mut self, at: usize) -> &mut Value {
        match &mut self.0 {
            Members::Few(list) => &mut list[at].1,
            Members::Many(many) => &mut many.list[at].1,
        }
    }

    /// The member, added as null at the end where it is missing.
    pub fn entry(&mut self, name: impl Into<Key>) -> &mut Value {
        let name = name.into();
        let at = self.position(&name).unwrap_or_else(|| {
            self.push(name, Value::Null);
            self.len() - 1
        });
        self.value_mut(at)
    }

    /// Sets a member and returns what it was.
    pub fn insert(&mut self, name: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let name = name.into();
        match self.position(&name) {
            Some(at) => Some(std::mem::replace(self.value_mut(at), value.into())),
            None => {
                self.push(name, value.into());
                None
            }
        }
    }

    /// Adds a member that the caller knows to be new, without looking for it.
    pub fn push_new(&mut self, name: impl Into<Key>, value: impl Into<Value>) {
        self.push(name.into(), value.into());
    }

    fn push(&mut self, name: Key, value: Value) {
        match &mut self.0 {
            Members::Few(list) if list.len() < MANY => list.push((name, value)),
            Members::Few(list) => {
                let mut many = Many { list: std::mem::take(list), places: OnceLock::new() };
                many.push(name, value);
                self.0 = Members::Many(Box::new(many));
            }
            Members::Many(many) => many.push(name, value),
        }
    }

    /// Removes a member; the order of the others stays.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.position(name)?;
        Some(match &mut self.0 {
            Members::Few(list) => list.remove(at).1,
            Members::Many(many) => many.remove(at),
        })
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.raw_mut().retain_mut(|(key, value)| keep(key, value));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.raw().iter().map(|(key, value)| (key.as_ref(), value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        let list = match &mut self.0 {
            Members::Few(list) => list,
            // Names stay, and so does the index.
            Members::Many(many) => &mut many.list,
        };
        list.iter_mut().map(|(key, value)| {
            let key: &Key = key;
            (key.as_ref(), value)
        })
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.raw().iter().map(|(key, _)| key.as_ref())
    }

    /// Orders the members by name, as Go writes maps.
    pub fn sort(&mut self) {
        self.raw_mut().sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// The members as they lie, for engines that reorder them.
    pub fn raw(&self) -> &[(Key, Value)] {
        match &self.0 {
            Members::Few(list) => list,
            Members::Many(many) => &many.list,
        }
    }

    /// As [`Object::raw`]; an index is made anew when it is needed.
    pub fn raw_mut(&mut self) -> &mut Vec<(Key, Value)> {
        match &mut self.0 {
            Members::Few(list) => list,
            Members::Many(many) => {
                many.places.take();
                &mut many.list
            }
        }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.raw().iter().enumerate().all(|(at, (key, value))| {
                // Mostly the orders agree; search only where they do not.
                match other.raw().get(at) {
                    Some((same, theirs)) if same == key => theirs == value,
                    _ => other.get(key) == Some(value),
                }
            })
    }
}

impl FromIterator<(Key, Value)> for Object {
    /// Of members with one name the last stays.
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(members: I) -> Self {
        let mut object = Object::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (Key, Value);
    type IntoIter = std::vec::IntoIter<(Key, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Members::Few(list) => list.into_iter(),
            Members::Many(many) => many.list.into_iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_no_larger_than_their_list() {
        assert_eq!(size_of::<Object>(), size_of::<Vec<(Key, Value)>>());
    }

    #[test]
    fn many_members_are_found_whatever_is_done_to_them() {
        let name = |at: usize| format!("m{at}");
        let mut object = Object::new();
        for at in 0..200 {
            assert_eq!(object.insert(name(at), at as i64), None);
        }
        assert_eq!(object.insert(name(7), 0), Some(Value::Int(7)));
        assert_eq!(object.remove("m3"), Some(Value::Int(3)));
        assert_eq!(object.remove("m3"), None);
        assert_eq!(object.get("m199"), Some(&Value::Int(199)));
        assert_eq!(object.entry("new"), &Value::Null);
        object.raw_mut().reverse();
        assert_eq!(object.get("m199"), Some(&Value::Int(199)));
        object.retain(|name, _| name.len() > 3);
        assert_eq!((object.len(), object.contains("m50"), object.contains("m150")), (100, false, true));
        let mut same = object.clone();
        same.sort();
        assert_eq!(same, object);
        same.insert("m150", 0);
        assert_ne!(same, object);
        assert!(same.iter_mut().all(|(name, _)| name.starts_with('m')));
    }
}
