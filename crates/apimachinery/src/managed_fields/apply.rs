//! Server-side apply: merging a configuration, finding conflicts, recording who
//! owns what (structured-merge-diff's `Updater.Apply` within upstream's chain
//! of field managers).
//!
//! Pure, as everything here: trees in, a tree or a Status out.

use super::compare::compare_merged;
use super::conflict::{self, Conflict};
use super::entries::{Entries, Identity, distinct, new_entry};
use super::merge::merge;
use super::prune::{Owned, prune};
use super::reconcile::reconcile;
use super::versions::{Changes, Versions};
use super::{Set, Shape, Write, element, fields, last_applied, record_update, typed};
use crate::{Status, Value, meta};

/// The owner of what was there before anybody owned anything.
const BEFORE: &str = "before-first-apply";

/// An apply as it came.
#[derive(Clone, Copy, Debug)]
pub struct Apply<'a> {
    /// The configuration, as it was written.
    pub config: &'a Value,
    /// Take fields that others own.
    pub force: bool,
    /// The zero value of the kind, with kind and apiVersion.
    pub empty: &'a Value,
}

/// What came of an apply.
#[derive(Debug)]
pub struct Applied {
    /// The object with its managedFields. Where the configuration changed it,
    /// neither normalized nor defaulted.
    pub object: Value,
    /// Whether anything but ownership and the annotation of client-side apply
    /// may differ.
    pub changed: bool,
}

/// Applies to `live`, which is canonical and in the request's version; where
/// there is none yet, it is [`Apply::empty`].
///
/// # Errors
/// 400 for a configuration of another kind or with managedFields, 409 for
/// fields of others, 500 for one that does not fit the schema.
pub fn apply(
    versions: &dyn Versions,
    live: &Value,
    request: Apply<'_>,
    write: &Write<'_>,
) -> Result<Applied, Status> {
    let Apply { config, force, empty } = request;
    let expected = group_version_kind(write.api_version, live["kind"].text());
    let given = group_version_kind(config["apiVersion"].text(), config["kind"].text());
    if given != expected {
        return Err(Status::bad_request(format!("invalid object type: {given}")));
    }
    // What is no list is told of as what it is.
    if config["metadata"]["managedFields"].as_array().is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let Some(shape) = versions.shape(write.api_version) else {
        return Err(Status::internal(format!("no corresponding type for {expected}")));
    };
    typed::check(shape, config).map_err(|why| {
        Status::unknown(format!("failed to create typed patch object ({}): {why}", describe(config)))
    })?;

    let mut entries = Entries(distinct(live["metadata"]["managedFields"].items()).cloned().collect());
    if entries.is_empty() {
        let before = Write { manager: BEFORE, ..*write };
        record_update(versions, empty, live, &mut entries, &before)
            .map_err(|why| Status::unknown(format!("failed to create manager for existing fields: {why}")))?;
    }
    let attempt = Attempt { versions, shape, live, config, write };
    let outcome = match attempt.run(&entries, force) {
        Err(Failure::Conflicts(conflicts)) if write.manager == last_applied::MANAGER => {
            match last_applied::untouched(shape, write.api_version, live) {
                None => Err(Failure::Conflicts(conflicts)),
                Some(allowed) => {
                    let left: Vec<Conflict> =
                        conflicts.into_iter().filter_map(|conflict| conflict.without(&allowed)).collect();
                    if left.is_empty() { attempt.run(&entries, true) } else { Err(Failure::Conflicts(left)) }
                }
            }
        }
        outcome => outcome,
    };
    let (made, entries) = outcome.map_err(|failure| match failure {
        Failure::Conflicts(conflicts) => conflict::status(&conflicts),
        Failure::Impossible(why) => Status::unknown(why),
    })?;
    let changed = made.is_some();
    let mut object = made.unwrap_or_else(|| live.clone());
    entries.store(&mut object);
    if write.manager == last_applied::MANAGER {
        last_applied::follow(&mut object, config);
    }
    Ok(Applied { object, changed })
}

/// `apps/v1, Kind=Deployment`, as upstream writes it also where a part lacks.
fn group_version_kind(api_version: &str, kind: &str) -> String {
    match api_version.split_once('/') {
        // What is no group and version says nothing.
        Some((_, version)) if version.contains('/') => "/, Kind=".to_owned(),
        Some(_) => format!("{api_version}, Kind={kind}"),
        None => format!("/{api_version}, Kind={kind}"),
    }
}

/// `NAMESPACE/NAME; apps/v1, Kind=Deployment`, by which refusals name an object.
pub fn describe(object: &Value) -> String {
    let kind = group_version_kind(object["apiVersion"].text(), object["kind"].text());
    format!("{}/{}; {kind}", meta::namespace(object), meta::name(object))
}

enum Failure {
    Conflicts(Vec<Conflict>),
    Impossible(String),
}

/// The object after the apply, unless nothing changed, and who owns what then.
type Outcome = Result<(Option<Value>, Entries), Failure>;

struct Attempt<'a> {
    versions: &'a dyn Versions,
    shape: Shape<'a>,
    live: &'a Value,
    config: &'a Value,
    write: &'a Write<'a>,
}

/// An entry and its fields, taken apart.
struct Owner {
    entry: Value,
    fields: Set,
}

impl Owner {
    fn api_version(&self) -> &str {
        self.entry["apiVersion"].text()
    }
}

impl Attempt<'_> {
    fn run(&self, entries: &Entries, force: bool) -> Outcome {
        let &Attempt { versions, shape, live, config, write } = self;
        let failed = |what: &str, why: String| Failure::Impossible(format!("failed to {what}: {why}"));
        let own = Identity {
            manager: write.manager,
            operation: "Apply",
            api_version: "",
            subresource: write.subresource,
        };
        let (mut mine, mut others) = (None, Vec::new());
        for owner in self.owners(entries) {
            if owner.api_version() != write.api_version {
                // Whoever owns fields in another version must find the object there.
                versions.convert(live, owner.api_version()).map_err(Failure::Impossible)?;
            }
            if Identity::of(&owner.entry) == own { mine = Some(owner) } else { others.push(owner) }
        }

        let merged = merge(shape, live, config).map_err(|why| failed("merge config", why))?;
        let mut set = fields::of(shape, config);
        set.subtract_below(write.reset);
        let mut owned = Owned::new();
        owned.entry(write.api_version).or_default().unite(&set);
        for owner in &others {
            owned.entry(owner.api_version()).or_default().unite(&owner.fields);
        }
        let made = match &mine {
            Some(last) => {
                let former = (last.api_version(), &last.fields);
                prune(versions, shape, write.api_version, merged, former, &owned)
                    .map_err(|why| failed("prune fields", why))?
            }
            None => merged,
        };
        drop(owned);

        let changes = compare_merged(shape, live, &made)
            .map_err(|why| failed("compare objects", why))?
            .without(write.reset);
        let mut elsewhere = Changes::new(versions, live, &made, write.reset);
        let mut conflicts = Vec::new();
        for owner in &mut others {
            let found = if owner.api_version() == write.api_version {
                &changes
            } else {
                match elsewhere.of(owner.api_version()).map_err(|why| failed("convert object", why))? {
                    Some(found) => found,
                    None => continue,
                }
            };
            let taken = owner.fields.intersection(&found.changed);
            owner.fields.subtract(&found.removed);
            if !taken.is_empty() {
                owner.fields.subtract(&taken);
                conflicts.push(Conflict::new(&owner.entry, taken));
            }
        }
        if !force && !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }

        set.subtract(&nobodys());
        let made = (!element::same(live, &made)).then_some(made);
        let mut entries: Vec<Value> = others
            .into_iter()
            .filter(|owner| !owner.fields.is_empty())
            .map(|Owner { mut entry, fields }| {
                entry.set("fieldsV1", fields.into_fields_v1());
                entry
            })
            .collect();
        if !set.is_empty() {
            let before = mine.as_ref().map_or("", |last| last.entry["time"].text());
            let time = if made.is_some() { write.time } else { before };
            entries.push(new_entry(&own, write.api_version, time, set));
        }
        let mut entries = Entries(entries);
        entries.sort();
        Ok((made, entries))
    }

    /// The owners of versions that are served, by the schema there is.
    fn owners(&self, entries: &Entries) -> Vec<Owner> {
        let owner = |entry: &Value| {
            let shape = self.versions.shape(entry["apiVersion"].text())?;
            let fields = Set::from_fields_v1(&entry["fieldsV1"]).unwrap_or_default();
            let mut entry = entry.clone();
            entry.set("fieldsV1", Value::Null);
            Some(Owner { entry, fields: reconcile(shape, fields) })
        };
        entries.0.iter().filter_map(owner).collect()
    }
}

/// Fields that apply gives to nobody (upstream's stripMeta).
fn nobodys() -> Set {
    const METADATA: [&str; 9] = [
        "clusterName",
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let mut set = Set::of_fields(&[&["apiVersion"], &["kind"], &["metadata"]]);
    for name in METADATA {
        set.unite(&Set::of_fields(&[&["metadata", name]]));
    }
    set
}

#[cfg(test)]
mod tests;
