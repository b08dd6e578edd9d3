//! Admission: what may be changed in, or said against, a write after
//! authorization. Plugins run in the order in which they were added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::facts;
use apimachinery::managed_fields::Shape;
use apimachinery::schema::{self, Strictness};
use apimachinery::{Status, Value, json, structural};
use async_trait::async_trait;
use edge::Random;
use jiff::Timestamp;

use crate::generic::{Options, default_in_storage, shape_of};
use crate::{Companion, Definition, Storage, UserInfo, Version, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// `CREATE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A write as admission sees it (admission.Attributes).
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    pub operation: Operation,
    pub definition: &'a Definition,
    pub version: &'a Version,
    /// "" for cluster-scoped objects. For a Namespace itself: its name.
    pub namespace: &'a str,
    /// "" for a create whose name is not known yet, and for a deletion of many.
    pub name: &'a str,
    /// The name in the request's path: "" for a POST to a collection.
    pub requested: &'a str,
    /// "" for the object itself.
    pub subresource: &'a str,
    pub user: &'a UserInfo,
    /// The object as stored before, in the stored version; None for a create.
    /// Of a connect: None.
    pub old: Option<&'a Value>,
    pub options: Options<'a>,
    pub dry_run: bool,
    pub view: &'a View,
    pub random: &'a dyn Random,
    pub now: Timestamp,
}

impl Admission<'_> {
    /// Whether this is about resource `resource` of `group` itself (no subresource).
    pub fn is_of(&self, group: &str, resource: &str) -> bool {
        self.subresource.is_empty() && self.definition.group == group && self.definition.resource == resource
    }

    /// CreateOptions, UpdateOptions or DeleteOptions as a tree. Of a connect: null.
    pub fn options(&self) -> Value {
        self.options.tree(self.operation)
    }

    /// The refusal of a plugin in upstream's words: `pods "x" is forbidden: why`.
    pub fn forbid(&self, object: &Value, why: impl std::fmt::Display) -> Status {
        let own = [apimachinery::meta::name(object), object["metadata"]["generateName"].text()];
        let name = std::iter::once(self.name).chain(own).find(|name| !name.is_empty()).unwrap_or("Unknown");
        Status::forbidden(self.definition.group_resource(), name, &why.to_string())
    }

    /// Whether the object has the resource's own kind, and not that of a
    /// subresource's body.
    fn is_own_kind(&self) -> bool {
        self.definition.subresource(self.subresource).is_none_or(|subresource| subresource.body.is_none())
    }

    /// Group, version and kind of the object, in `version` of the resource.
    pub fn kind<'b>(&'b self, version: &'b Version) -> (&'b str, &'b str, &'b str) {
        match self.definition.subresource(self.subresource).and_then(|subresource| subresource.body.as_ref())
        {
            Some((group, version, kind)) => (group, version, kind),
            None => (&self.definition.group, &version.name, &self.definition.kind),
        }
    }

    /// How the object divides into fields that can be owned apart, in
    /// `version` of the resource.
    pub fn shape<'b>(&'b self, version: &'b Version) -> Shape<'b> {
        if self.is_own_kind() {
            return shape_of(self.definition, version);
        }
        let (group, name, kind) = self.kind(version);
        facts::types()
            .kind(group, name, kind)
            .map_or(Shape::Deduced, |schema| Shape::of(facts::types(), schema))
    }

    /// The object as clients of `version` see it.
    ///
    /// # Errors
    /// It cannot be expressed in that version.
    pub fn served(&self, version: &Version, object: &Value) -> Result<Value, Status> {
        let mut served = object.clone();
        if served.is_null() || !self.is_own_kind() {
            return Ok(served);
        }
        if let Some(conversion) = &version.conversion {
            conversion.from_storage(&mut served)?;
        }
        served.set("apiVersion", self.definition.api_version(&version.name));
        Ok(served)
    }

    /// What someone made of an object in `version`, decoded: without what its
    /// kind does not have.
    ///
    /// # Errors
    /// It is no object of its kind any more.
    pub fn decoded(&self, version: &Version, mut object: Value) -> Result<Value, Status> {
        let (group, name, kind) = self.kind(version);
        match facts::types().kind(group, name, kind) {
            Some(schema) => {
                schema::normalize(facts::types(), schema, &mut object, Strictness::Ignore)
                    .map_err(|error| Status::internal(error.to_string()))?;
                object.set("kind", kind);
            }
            None => json::sort_deep(&mut object),
        }
        Ok(object)
    }

    /// What someone made of an object in `version`, as it goes on: decoded, in
    /// the stored version (of custom objects: in that of the request), defaulted.
    ///
    /// # Errors
    /// It is no object of its kind any more.
    pub fn taken_back(&self, version: &Version, object: Value) -> Result<Value, Status> {
        let mut object = self.decoded(version, object)?;
        if !self.is_own_kind() {
            return Ok(object);
        }
        if self.definition.is_custom() {
            // What is made of a custom object stays in the version of the request.
            let mut object = self.served(self.version, &object)?;
            if self.subresource.is_empty() {
                default_in_storage(self.definition, &mut object, self.now);
            }
            return Ok(object);
        }
        if let Some(conversion) = &version.conversion {
            conversion.to_storage(&mut object)?;
        }
        if let Storage::Stored { api_version, .. } = &self.definition.storage {
            object.set("apiVersion", api_version.as_ref());
        }
        if self.subresource.is_empty() {
            default_in_storage(self.definition, &mut object, self.now);
        }
        Ok(object)
    }

    /// Drops from a custom object what its schema does not have, once all of a
    /// plugin's helpers have changed it: each sees what those before it added.
    ///
    /// # Errors
    /// It is no object any more.
    pub fn prune(&self, object: &mut Value) -> Result<(), Status> {
        if let Some(schema) = self.version.structural.as_deref().filter(|_| self.is_own_kind()) {
            structural::coerce(facts::types(), schema, object, Strictness::Ignore)
                .map_err(|error| Status::internal(error.to_string()))?;
        }
        Ok(())
    }
}

/// What admission leaves beside its verdict.
#[derive(Debug, Default)]
pub struct Notes {
    /// Warning headers.
    pub warnings: Vec<String>,
    /// Committed in the same transaction.
    pub companions: Vec<Companion>,
    /// Annotations for the audit log.
    pub audit: Vec<(String, String)>,
    pub reinvocation: Reinvocation,
}

/// Who must look at an object again, because somebody after them changed it.
/// There is one second round at most. Who looks again is counted apart for each
/// plugin that asks several in turn: its webhooks, or its policies.
#[derive(Debug, Default)]
pub struct Reinvocation {
    plugins: BTreeMap<&'static str, Round>,
    /// Somebody changed the object.
    wanted: bool,
    is_second_round: bool,
}

/// What one plugin remembers of those that it asks, by their keys.
#[derive(Debug, Default)]
struct Round {
    /// The object as the plugin left it in the first round.
    left: Option<Value>,
    /// Those that have run and would look again.
    ran: BTreeSet<String>,
    /// Those of them after which the object changed.
    again: BTreeSet<String>,
}

impl Reinvocation {
    /// `plugin` begins with `object`. What other plugins did to the object since
    /// the first round makes all look again that would.
    pub fn begins(&mut self, plugin: &'static str, object: &Value) {
        let is_second_round = self.is_second_round;
        let round = self.plugins.entry(plugin).or_default();
        if is_second_round && round.left.as_ref() != Some(object) {
            round.again.append(&mut round.ran);
        }
    }

    /// Whether the one of `plugin`'s that has the key runs in this round.
    pub fn calls_for(&self, plugin: &'static str, key: &str) -> bool {
        !self.is_second_round || self.plugins.get(plugin).is_some_and(|round| round.again.contains(key))
    }

    /// One of `plugin`'s has run: whether it changed the object, and whether it
    /// looks again after later changes.
    pub fn has_run(&mut self, plugin: &'static str, key: &str, changed: bool, looks_again: bool) {
        if changed {
            self.changes(plugin);
        }
        if looks_again {
            self.plugins.entry(plugin).or_default().ran.insert(key.to_owned());
        }
    }

    /// All of `plugin`'s that have run look again, if they would.
    pub fn changes(&mut self, plugin: &'static str) {
        self.wanted = true;
        let round = self.plugins.entry(plugin).or_default();
        round.again.append(&mut round.ran);
    }

    /// `plugin` is done with `object`, which is kept where somebody may look again.
    pub fn ends(&mut self, plugin: &'static str, object: &Value) {
        let round = self.plugins.get_mut(plugin);
        if let Some(round) = round.filter(|round| !round.ran.is_empty()) {
            round.left = Some(object.clone());
        }
    }

    /// Begins the second round, where there must be one.
    pub(crate) fn begins_again(&mut self) -> bool {
        let begins = !self.is_second_round && self.wanted;
        self.is_second_round |= begins;
        begins
    }
}

/// One step of admission: decided here, or asked of someone outside.
#[derive(Clone)]
pub enum Plugin {
    Local(Arc<dyn AdmissionPlugin>),
    Remote(Arc<dyn RemotePlugin>),
}

impl Plugin {
    /// Upstream's name of the plugin.
    pub fn name(&self) -> &'static str {
        match self {
            Plugin::Local(plugin) => plugin.name(),
            Plugin::Remote(plugin) => plugin.name(),
        }
    }

    pub(crate) fn handles(&self, admission: &Admission<'_>) -> bool {
        match self {
            Plugin::Local(plugin) => plugin.handles(admission),
            Plugin::Remote(plugin) => plugin.handles(admission),
        }
    }
}

impl<P: AdmissionPlugin> From<P> for Plugin {
    fn from(plugin: P) -> Self {
        Plugin::Local(Arc::new(plugin))
    }
}

/// A plugin that must wait for an answer from outside (webhooks). As
/// [`AdmissionPlugin`] otherwise.
#[async_trait]
pub trait RemotePlugin: Send + Sync + 'static {
    /// Upstream's name of the plugin, such as `MutatingAdmissionWebhook`.
    fn name(&self) -> &'static str;

    /// Whether anyone is asked about this write at all. Cheap: it is asked for each.
    fn handles(&self, admission: &Admission<'_>) -> bool;

    /// As [`AdmissionPlugin::admit`].
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    async fn admit(
        &self,
        _admission: &Admission<'_>,
        _object: &mut Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// As [`AdmissionPlugin::validate`].
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    async fn validate(
        &self,
        _admission: &Admission<'_>,
        _object: &Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// One plugin. Trees are in the stored version. Pure apart from the view.
///
/// The body of a subresource with a kind of its own (Eviction, Binding, Scale,
/// TokenRequest) is given as that kind. For a deletion `object` is null.
pub trait AdmissionPlugin: Send + Sync + 'static {
    /// Upstream's name of the plugin, such as `NamespaceLifecycle`.
    fn name(&self) -> &'static str;

    /// Whether the plugin looks at this write at all.
    fn handles(&self, admission: &Admission<'_>) -> bool;

    /// Changes the object. Defaults are applied again after it.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn admit(
        &self,
        _admission: &Admission<'_>,
        _object: &mut Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Looks at the object as it will be stored.
    ///
    /// # Errors
    /// The refusal, as the client gets it.
    fn validate(
        &self,
        _admission: &Admission<'_>,
        _object: &Value,
        _notes: &mut Notes,
    ) -> Result<(), Status> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "Hooks";

    /// Who of `a` and `b` looks in the second round, where `b` changed the
    /// object in the first or somebody else did after them.
    fn second_round(looks_again: [bool; 2], b_changes: bool, other_changes: bool) -> Option<[bool; 2]> {
        let mut reinvocation = Reinvocation::default();
        let mut object = Value::from(1);
        reinvocation.begins(PLUGIN, &object);
        assert!(reinvocation.calls_for(PLUGIN, "a") && reinvocation.calls_for(PLUGIN, "b"));
        reinvocation.has_run(PLUGIN, "a", false, looks_again[0]);
        reinvocation.has_run(PLUGIN, "b", b_changes, looks_again[1]);
        reinvocation.ends(PLUGIN, &object);
        if other_changes {
            reinvocation.changes("Others");
            object = Value::from(2);
        }
        if !reinvocation.begins_again() {
            return None;
        }
        reinvocation.begins(PLUGIN, &object);
        let round = ["a", "b"].map(|key| reinvocation.calls_for(PLUGIN, key));
        reinvocation.changes(PLUGIN);
        assert!(!reinvocation.begins_again());
        Some(round)
    }

    #[test]
    fn who_would_look_again_does_after_later_changes() {
        for (looks_again, b_changes, other_changes, round) in [
            ([true, true], false, false, None),
            // Plugins in the server look again, if nobody else does.
            ([false, false], true, false, Some([false, false])),
            ([true, true], true, false, Some([true, false])),
            ([false, true], true, false, Some([false, false])),
            ([true, true], false, true, Some([true, true])),
            ([true, false], true, true, Some([true, false])),
        ] {
            assert_eq!(second_round(looks_again, b_changes, other_changes), round);
        }
    }
}
