//! Who set which field: what the engine tells `managed_fields` of a request.

use std::sync::Arc;

use api::facts;
use apimachinery::managed_fields::{self, Applied, Apply, Set, Shape, Single, Versions, Write};
use apimachinery::schema::{self, Strictness, Type};
use apimachinery::{Status, Value, json, structural, time};
use jiff::Timestamp;

use super::{Caller, Target, WriteOptions, metadata};
use crate::catalogue::{Catalogue, Resource};
use crate::input::{self, Expected};
use crate::{ApiServer, Definition, Storage, UserInfo, Version};

/// What is served of the kind of a request, and of those that share its storage.
struct Served<'a> {
    target: &'a Target,
    /// Looked into for versions that belong to another definition only.
    catalogue: Arc<Catalogue>,
}

/// How objects of a version divide into fields that can be owned apart.
pub(crate) fn shape_of<'a>(definition: &'a Definition, version: &'a Version) -> Shape<'a> {
    match (version.schema, definition.strategy.structure(&version.name)) {
        (Some(schema), _) => Shape::of(facts::types(), schema),
        (None, Some(structure)) => Shape::Custom(facts::types(), structure),
        (None, None) => Shape::Deduced,
    }
}

/// The prefix below which a resource is stored.
fn prefix(resource: &Resource) -> Option<&str> {
    match &resource.storage {
        Storage::Stored { prefix, .. } => Some(prefix),
        Storage::Virtual(_) => None,
    }
}

impl Served<'_> {
    /// The version called `api_version`, of the definition of the request or of
    /// another one of the same objects (events of both groups).
    fn find(&self, api_version: &str) -> Option<(&Resource, &Version)> {
        let (group, name) = api_version.split_once('/').unwrap_or(("", api_version));
        let own = &self.target.resource;
        let of_own = own.versions.iter().find(|version| group == own.group && version.name == name);
        if let Some(found) = of_own {
            return Some((own, found));
        }
        let (other, version) = self.catalogue.kind(group, name, &own.kind)?;
        (prefix(other).is_some() && prefix(other) == prefix(own)).then_some((&**other, version))
    }
}

impl Versions for Served<'_> {
    fn shape(&self, api_version: &str) -> Option<Shape<'_>> {
        self.find(api_version).map(|(resource, version)| shape_of(resource, version))
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let find = |name: &str| self.find(name).ok_or_else(|| format!("nobody serves {name}"));
        let ((_, from), (resource, to)) = (find(object["apiVersion"].text())?, find(api_version)?);
        let mut made = object.clone();
        if resource.is_custom() {
            // Another name is all that is given: nothing is pruned that the
            // other version does not have.
            made.set("apiVersion", api_version);
            managed_fields::fits(shape_of(resource, to), &made)?;
            return Ok(made);
        }
        // A tree between two versions may lack what conversion reads.
        complete(from, &mut made)?;
        if let Some(conversion) = &from.conversion {
            conversion.to_storage(&mut made).map_err(|status| status.message)?;
        }
        match &to.conversion {
            Some(conversion) => conversion.from_storage(&mut made).map_err(|status| status.message)?,
            None => made.set("apiVersion", api_version),
        }
        complete(to, &mut made)?;
        Ok(made)
    }
}

fn complete(version: &Version, object: &mut Value) -> Result<(), String> {
    let Some(schema) = version.schema else { return Ok(()) };
    schema::normalize(facts::types(), schema, object, Strictness::Ignore)
        .map(drop)
        .map_err(|error| error.to_string())
}

impl ApiServer {
    fn served<'a>(&self, target: &'a Target) -> Served<'a> {
        Served { target, catalogue: self.catalogue.load_full() }
    }

    /// Records who set what, for a write of `object` over `live` (both in the
    /// version of the request).
    pub(crate) fn own_fields(
        &self,
        target: &Target,
        caller: &Caller,
        options: &WriteOptions,
        now: Timestamp,
        live: &Value,
        object: &mut Value,
    ) {
        let write = Write {
            manager: &options.manager(&caller.agent),
            api_version: &target.api_version(),
            subresource: &target.subresource,
            time: &time::format(now),
            reset: &reset_fields(target),
        };
        managed_fields::update(&self.served(target), live, object, &write);
    }

    /// As [`Self::own_fields`], of what comes to a subresource of another kind.
    pub(crate) fn own_body(
        &self,
        target: &Target,
        caller: &Caller,
        options: &WriteOptions,
        expected: &Expected<'_>,
        body: &mut Value,
    ) {
        let Some(schema) = expected.schema else { return };
        let types = facts::types();
        let api_version = expected.api_version();
        let write = Write {
            manager: &options.manager(&caller.agent),
            api_version: &api_version,
            subresource: &target.subresource,
            time: &time::format(self.edge.clock.now()),
            reset: &Set::new(),
        };
        let versions = Single { api_version: &api_version, shape: Shape::of(types, schema) };
        let mut zero = schema::zero(types, Type::Struct(schema));
        input::complete(&mut zero, expected);
        managed_fields::update(&versions, &zero, body, &write);
    }

    /// As [`Self::own_fields`], of a new object that the server itself makes.
    pub(crate) fn own_new(&self, target: &Target, manager: &str, object: &mut Value) {
        let caller = Caller { user: Arc::new(UserInfo::new("", &[])), agent: manager.into() };
        let (options, now) = (WriteOptions::default(), self.edge.clock.now());
        let zero = target.resource.zero(target.version);
        self.own_fields(target, &caller, &options, now, zero, object);
    }

    /// `config` applied to `live`, or to nothing where the kind's zero value is
    /// given: normalized and defaulted where it changed anything, with its
    /// managedFields.
    pub(crate) fn apply(
        &self,
        target: &Target,
        caller: &Caller,
        options: &WriteOptions,
        live: &Value,
        (config, force): (&Value, bool),
    ) -> Result<Value, Status> {
        let api_version = target.api_version();
        let write = Write {
            manager: &options.manager(&caller.agent),
            api_version: &api_version,
            subresource: &target.subresource,
            time: &time::format(self.edge.clock.now()),
            reset: &reset_fields(target),
        };
        let request = Apply { config, force, empty: target.resource.zero(target.version) };
        let Applied { mut object, changed } =
            managed_fields::apply(&self.served(target), live, request, &write)?;
        if changed {
            normalize_applied(&mut object, target.version().schema, config)?;
            if let Some(schema) = &target.version().structural {
                // Nulls stay: validation tells of them.
                structural::prune(&mut object, schema, true);
            }
            metadata::default(&target.resource, target.version(), &mut object, self.edge.clock.now());
        }
        Ok(object)
    }

    /// The replicas of `live` as a Scale's managedFields.
    pub(crate) fn scale_owners(&self, target: &Target, live: &Value, replicas: &[&str]) -> Value {
        managed_fields::to_scale(&self.served(target), live, replicas)
    }

    /// Brings the managedFields of a Scale back to the object that it scales.
    pub(crate) fn own_scaled(&self, target: &Target, object: &mut Value, scale: &Value, replicas: &[&str]) {
        let owners = &scale["metadata"]["managedFields"];
        managed_fields::to_parent(&self.served(target), object, owners, &target.api_version(), replicas);
    }
}

/// Brings what an apply made into canonical form.
///
/// # Errors
/// 500 for values that fit the schema and yet are none of their type: a
/// quantity that is no number.
pub(crate) fn normalize_applied(
    object: &mut Value,
    schema: Option<schema::TypeId>,
    config: &Value,
) -> Result<(), Status> {
    let Some(schema) = schema else {
        json::sort_deep(object);
        return Ok(());
    };
    let unconverted = |why: String| {
        let described = managed_fields::describe(config);
        let kind = described.rsplit("; ").next().unwrap_or_default();
        Status::unknown(format!(
            "failed to convert new object ({described}) to proper version: unable to convert unstructured object to \
             {kind}: {why}"
        ))
    };
    let types = facts::types();
    if let Some(why) = schema::why_not(types, schema, object) {
        return Err(unconverted(why));
    }
    schema::narrow(types, schema, object);
    schema::normalize(types, schema, object, Strictness::Ignore)
        .map(drop)
        .map_err(|error| unconverted(error.to_string()))
}

/// The fields that a write of the target resets to what they were.
fn reset_fields(target: &Target) -> Set {
    let mut paths: Vec<&[&str]> = target.resource.strategy.reset_fields(&target.subresource).to_vec();
    let has_status = target.resource.has_status();
    if target.subresource.is_empty() && has_status {
        paths.push(&["status"]);
    }
    let members: &[&str] = match target.version().schema {
        Some(_) => target.resource.body_fields(target.version),
        None => &["metadata", "spec"],
    };
    let single: Vec<[&str; 1]> = members.iter().map(|member| [*member]).collect();
    if target.subresource == "status" {
        paths.extend(single.iter().map(|path| &path[..]));
    }
    Set::of_fields(&paths)
}

/// Takes back what a write changed of the times in managedFields, where it
/// changed nothing else: whoever writes what is there does not write at all.
pub(crate) fn keep_times(object: &mut Value, old: &Value) {
    let (new_owners, old_owners) = (&object["metadata"]["managedFields"], &old["metadata"]["managedFields"]);
    let (new_list, old_list) = (new_owners.items(), old_owners.items());
    let same_but = |skipped: &str, new: &Value, old: &Value| {
        let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
        let kept = |object: &apimachinery::Object| object.len() - usize::from(object.contains(skipped));
        kept(new) == kept(old)
            && new
                .iter()
                .filter(|(name, _)| *name != skipped)
                .all(|(name, value)| old.get(name) == Some(value))
    };
    let only_times = new_list.len() == old_list.len()
        && new_owners != old_owners
        && new_list.iter().zip(old_list).all(|(new, old)| same_but("time", new, old));
    if !only_times
        || !same_but("metadata", object, old)
        || !same_but("managedFields", &object["metadata"], &old["metadata"])
    {
        return;
    }
    object.entry("metadata").set("managedFields", old_owners.clone());
}
