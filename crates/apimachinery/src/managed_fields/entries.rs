//! The list `metadata.managedFields` (meta/v1 ManagedFieldsEntry): choosing,
//! changing, capping and ordering its entries.
//!
//! Entries stay the trees that they are; one that a write does not touch is
//! never decoded.

use std::collections::BTreeMap;

use super::Write;
use super::compare::Comparison;
use super::set::Set;
use super::versions::Changes;
use crate::{Key, Object, Value, json};

/// Update managers kept apart; the oldest beyond it are merged.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager into which the oldest are merged.
const ANCIENT: &str = "ancient-changes";

/// Whether `managedFields` asks to forget all owners: `[]` or `[{}]`.
fn is_reset(managed_fields: &Value) -> bool {
    match managed_fields.as_array() {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.iter().all(|(_, value)| is_zero(value)),
        _ => false,
    }
}

fn is_zero(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Who set fields: an entry without its fields and time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity<'a> {
    pub manager: &'a str,
    pub operation: &'a str,
    /// "" for appliers, who own across versions.
    pub api_version: &'a str,
    pub subresource: &'a str,
}

impl<'a> Identity<'a> {
    pub fn of(entry: &'a Value) -> Self {
        let operation = entry["operation"].text();
        Identity {
            manager: entry["manager"].text(),
            operation,
            api_version: if operation == "Apply" { "" } else { entry["apiVersion"].text() },
            subresource: entry["subresource"].text(),
        }
    }

    /// What upstream sorts owners by: the entry as JSON, without its fields
    /// and time.
    pub fn text(&self) -> String {
        let mut entry = Object::new();
        for (name, text) in [
            ("manager", self.manager),
            ("operation", self.operation),
            ("apiVersion", self.api_version),
            ("subresource", self.subresource),
        ] {
            if !text.is_empty() {
                entry.push_new(name, text);
            }
        }
        json::to_string(&Value::Object(entry))
    }
}

/// The entries but those that a later one of the same owner hides, as reading
/// them into a map by owner does.
pub(super) fn distinct(entries: &[Value]) -> impl Iterator<Item = &Value> {
    let last: BTreeMap<Identity<'_>, usize> =
        entries.iter().enumerate().map(|(at, entry)| (Identity::of(entry), at)).collect();
    let shows = move |(at, entry): &(usize, &Value)| last.get(&Identity::of(entry)) == Some(at);
    entries.iter().enumerate().filter(shows).map(|(_, entry)| entry)
}

/// The manager's name as it is written.
pub(super) fn manager_name<'a>(write: &Write<'a>) -> &'a str {
    if write.manager.is_empty() { "unknown" } else { write.manager }
}

/// The entries of one object.
pub(super) struct Entries(pub(super) Vec<Value>);

impl Entries {
    /// The entries that a write starts from: those of the request where it
    /// brings readable ones, else the stored ones.
    pub(super) fn choose(stored: &Value, requested: Option<Value>, write: &Write<'_>) -> Self {
        let own = || Entries(distinct(stored.items()).cloned().collect());
        let Some(requested) = requested else { return own() };
        if requested == *stored {
            return match requested {
                Value::Array(items) if distinct(&items).count() == items.len() => Entries(items),
                _ => own(),
            };
        }
        if !write.subresource.is_empty() {
            return own();
        }
        if is_reset(&requested) {
            return Entries(Vec::new());
        }
        match requested.items().iter().map(read_entry).collect::<Option<Vec<_>>>() {
            Some(read) if !read.is_empty() => Entries(distinct(&read).cloned().collect()),
            _ => own(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what `write` changed from everyone and gives it to the writer.
    ///
    /// # Errors
    /// Why changes cannot be told in a version in which somebody owns fields.
    pub(super) fn record(
        &mut self,
        comparison: Comparison,
        elsewhere: &mut Changes<'_>,
        write: &Write<'_>,
    ) -> Result<(), String> {
        let Comparison { changed, removed } = comparison;
        let own = Identity {
            manager: manager_name(write),
            operation: "Update",
            api_version: write.api_version,
            subresource: write.subresource,
        };
        let mut given = false;
        for entry in &mut self.0 {
            let mine = Identity::of(entry) == own;
            let (changed, removed) = if entry["apiVersion"].text() == write.api_version {
                (&changed, &removed)
            } else {
                match elsewhere.of(entry["apiVersion"].text())? {
                    Some(found) => (&found.changed, &found.removed),
                    None => {
                        // What was owned in a version that is gone is nobody's.
                        entry.remove("fieldsV1");
                        continue;
                    }
                }
            };
            let Some(Value::Object(fields)) = entry.get_mut("fieldsV1") else { continue };
            let mut set = Set::trusted(std::mem::take(fields));
            if !removed.is_empty() {
                set.subtract(removed);
            }
            if mine {
                set.unite(changed);
            } else if set.intersects(changed) {
                set.subtract(changed);
            }
            entry.set("fieldsV1", set.into_fields_v1());
            if mine && !changed.is_empty() {
                given = true;
                entry.set("time", write.time);
            }
        }
        self.0.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
        if !given && !changed.is_empty() {
            self.0.push(new_entry(&own, write.api_version, write.time, changed));
        }
        self.cap();
        self.sort();
        Ok(())
    }

    /// Merges the oldest Update managers where there are too many of them.
    fn cap(&mut self) {
        let updaters = self.0.iter().filter(|entry| entry["operation"].text() != "Apply").count();
        if updaters <= MAX_UPDATE_MANAGERS {
            return;
        }
        let mut excess = updaters - MAX_UPDATE_MANAGERS;
        let (mut oldest, mut kept): (Vec<Value>, Vec<Value>) =
            std::mem::take(&mut self.0).into_iter().partition(|entry| entry["operation"].text() != "Apply");
        oldest.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        // The oldest of each version starts that version's bucket, the next ones fall into it.
        let mut merged: Vec<Value> = Vec::new();
        for entry in oldest {
            let bucket = merged.iter_mut().find(|other| other["apiVersion"] == entry["apiVersion"]);
            match bucket {
                Some(bucket) if excess > 0 => {
                    merge_into_bucket(bucket, entry);
                    excess -= 1;
                }
                None if excess > 0 => merged.push(entry),
                _ => kept.push(entry),
            }
        }
        kept.append(&mut merged);
        // A bucket made now may meet one that stands already.
        self.0 = Vec::with_capacity(kept.len());
        for entry in kept {
            let identity = Identity::of(&entry);
            match self.0.iter_mut().find(|other| Identity::of(other) == identity) {
                Some(same) => unite_entries(same, entry),
                None => self.0.push(entry),
            }
        }
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    }

    /// Writes the entries into `object`, or nothing where there are none.
    pub(super) fn store(self, object: &mut Value) {
        if self.0.is_empty() {
            if let Some(metadata) = object.get_mut("metadata") {
                metadata.remove("managedFields");
            }
        } else {
            object.entry("metadata").set("managedFields", Value::Array(self.0));
        }
    }
}

fn merge_into_bucket(bucket: &mut Value, newer: Value) {
    bucket.set("manager", ANCIENT);
    bucket.remove("subresource");
    unite_entries(bucket, newer);
}

/// Adds the fields of a newer entry and takes its time.
fn unite_entries(into: &mut Value, newer: Value) {
    let mut set = Set::trusted(
        into.get_mut("fieldsV1").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default(),
    );
    if let Some(fields) = newer["fieldsV1"].as_object() {
        set.unite(&Set::trusted(fields.clone()));
    }
    into.set("fieldsV1", set.into_fields_v1());
    if newer["time"].text() > into["time"].text() {
        into.set("time", newer["time"].text());
    }
}

/// Applies before updates, then by age (RFC 3339 in UTC sorts as text) and names.
fn sort_key(entry: &Value) -> (&str, &str, &str, &str, &str) {
    (
        entry["operation"].text(),
        entry["time"].text(),
        entry["manager"].text(),
        entry["apiVersion"].text(),
        entry["subresource"].text(),
    )
}

/// An entry with its members in Go's order.
pub(super) fn new_entry(who: &Identity<'_>, api_version: &str, time: &str, fields: Set) -> Value {
    let mut entry = Object::with_capacity(7);
    let mut add = |name: &'static str, value: Value| entry.push_new(Key::Borrowed(name), value);
    add("manager", who.manager.into());
    add("operation", who.operation.into());
    add("apiVersion", api_version.into());
    if !time.is_empty() {
        add("time", time.into());
    }
    add("fieldsType", "FieldsV1".into());
    add("fieldsV1", fields.into_fields_v1());
    if !who.subresource.is_empty() {
        add("subresource", who.subresource.into());
    }
    Value::Object(entry)
}

/// A client's entry with canonical fields; `None` where it cannot be read.
fn read_entry(entry: &Value) -> Option<Value> {
    let identity = Identity::of(entry);
    let is_known =
        matches!(identity.operation, "Apply" | "Update") && entry["fieldsType"].text() == "FieldsV1";
    if !is_known || entry["apiVersion"].text().is_empty() {
        return None;
    }
    let fields = match &entry["fieldsV1"] {
        Value::Null => Set::new(),
        fields => Set::from_fields_v1(fields)?,
    };
    Some(new_entry(&identity, entry["apiVersion"].text(), entry["time"].text(), fields))
}
