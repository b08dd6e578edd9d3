//! Definitions of custom resources, made real: names accepted, resources
//! served, objects of deleted definitions deleted.
//!
//! One pass looks at every definition that changed, decides (`names`,
//! `served`: pure), publishes and writes. It runs when a definition changed,
//! and never on a period.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use apimachinery::{Status, Value, json, meta, value};
use apiserver::{ApiServer, Change, Changes, Companion, DeleteOptions, Modify, OWN_MANAGER, Owner, View};
use edge::Task;
use jiff::Timestamp;

use super::{ignore_absent, own_user};
use crate::apiextensions::custom_resource_definition::CLEANUP;
use crate::apiextensions::{approval, names, served};
use crate::conditions::{self, Told};

const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
const SERVICES: (&str, &str) = ("apiregistration.k8s.io", "apiservices");
/// Marks the API services that this loop makes.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// What is remembered of a definition between passes.
struct Known {
    revision: u64,
    /// Of everything that changes what is served.
    shape: u64,
    /// Of the versions and their schemas.
    versions: u64,
    since: u64,
    /// Names, conditions and metadata: the definition without its schemas.
    brief: Value,
}

/// The loop's memory.
pub(super) struct Definitions {
    changes: Option<Changes>,
    known: BTreeMap<String, Known>,
    /// Deletions under way, by the definition's name.
    cleaning: BTreeMap<String, Task<()>>,
}

impl Definitions {
    /// Changes count from here on.
    pub fn new(server: &ApiServer) -> Self {
        let changes = server.changes(DEFINITIONS.0, DEFINITIONS.1);
        Self { changes, known: BTreeMap::new(), cleaning: BTreeMap::new() }
    }

    /// Passes whenever something changed, until the store closes.
    pub async fn run(mut self, server: Arc<ApiServer>) {
        let Some(mut changes) = self.changes.take() else { return };
        while changes.next().await {
            if let Err(status) = self.pass(&server).await {
                tracing::warn!(
                    why = status.message,
                    "definitions of custom resources could not be brought up to date"
                );
            }
        }
    }

    /// Brings everything up to date with what is stored.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn pass(&mut self, server: &Arc<ApiServer>) -> Result<(), Status> {
        let view = server.view();
        let now = server.edge().clock.now();
        let is_first = self.known.is_empty();
        let mut trees = self.observe(&view);
        let written = self.accept(&mut trees, now);
        self.publish(server, &view, &trees, is_first);
        for name in &written {
            self.write_status(server, name, now).await?;
        }
        self.register(server, &view).await?;
        self.clean(server);
        Ok(())
    }

    /// The definitions that changed since the last pass. Those that went are forgotten.
    fn observe(&mut self, view: &View) -> BTreeMap<String, (u64, Value)> {
        let mut trees = BTreeMap::new();
        let mut present = BTreeSet::new();
        for stored in view.list(DEFINITIONS.0, DEFINITIONS.1, "") {
            let name = stored.name().to_owned();
            if self.known.get(&name).is_none_or(|known| known.revision != stored.revision()) {
                trees.insert(name.clone(), (stored.revision(), stored.tree()));
            }
            present.insert(name);
        }
        self.known.retain(|name, _| present.contains(name));
        trees
    }

    /// Accepts names and establishes, in the order of creation. Gives the
    /// definitions whose status is to be written.
    fn accept(&mut self, trees: &mut BTreeMap<String, (u64, Value)>, now: Timestamp) -> Vec<String> {
        for (name, (_, tree)) in trees.iter() {
            let entry = self.known.entry(name.clone()).or_insert_with(|| Known {
                revision: 0,
                shape: 0,
                versions: 0,
                since: 0,
                brief: Value::Null,
            });
            entry.brief = brief(tree);
        }
        let mut order: Vec<(String, String)> = self
            .known
            .iter()
            .map(|(name, known)| {
                (known.brief["metadata"]["creationTimestamp"].text().to_owned(), name.clone())
            })
            .collect();
        order.sort();
        let mut written = Vec::new();
        for (_, name) in order {
            let mut mine = self.known[&name].brief.clone();
            let others: Vec<&Value> = self
                .known
                .iter()
                .filter(|(other, _)| **other != name)
                .map(|(_, known)| &known.brief)
                .collect();
            let mut changed = names::accept(&mut mine, &others, now);
            changed |= names::establish(&mut mine, now);
            changed |= approval(&mut mine, now);
            if !changed {
                continue;
            }
            if let Some((_, tree)) = trees.get_mut(&name) {
                tree.set("status", mine["status"].clone());
            }
            if let Some(known) = self.known.get_mut(&name) {
                known.brief = mine;
            }
            written.push(name);
        }
        written
    }

    /// Replaces what is served of the definitions that changed.
    fn publish(
        &mut self,
        server: &ApiServer,
        view: &View,
        trees: &BTreeMap<String, (u64, Value)>,
        is_first: bool,
    ) {
        let catalogue = server.catalogue();
        let mut added = Vec::new();
        let mut changed: BTreeSet<String> = BTreeSet::new();
        for (name, (revision, tree)) in trees {
            let Some(known) = self.known.get_mut(name) else { continue };
            known.revision = *revision;
            let versions = hash(&[&tree["spec"]["versions"]]);
            let shape = hash(&[
                &tree["spec"],
                &tree["status"]["acceptedNames"],
                &conditions::is_true(tree, "Established").into(),
                &conditions::is_true(tree, "Terminating").into(),
                &meta::is_terminating(tree).into(),
            ]);
            if shape == known.shape {
                continue;
            }
            if versions != known.versions {
                let mut with_fields =
                    tree["spec"]["versions"].items().iter().map(|version| &version["selectableFields"]);
                // What a restarted server indexed of objects knows no fields of theirs.
                let is_indexed = !with_fields.any(|fields| !fields.is_null());
                known.since = if is_first && is_indexed { *revision } else { view.revision() + 1 };
            }
            (known.shape, known.versions) = (shape, versions);
            changed.insert(name.clone());
            added.extend(served::definitions(tree, known.since));
        }
        let is_gone = |name: &str| !self.known.contains_key(name);
        let of = |definition: &apiserver::Definition| format!("{}.{}", definition.resource, definition.group);
        let gone =
            catalogue.resources().iter().any(|resource| resource.is_custom() && is_gone(&of(resource)));
        if changed.is_empty() && !gone {
            return;
        }
        let keep = |definition: &apiserver::Definition| {
            !definition.is_custom() || {
                let name = of(definition);
                !changed.contains(&name) && !is_gone(&name)
            }
        };
        server.set_catalogue(catalogue.with(keep, added));
    }

    async fn write_status(&self, server: &ApiServer, name: &str, now: Timestamp) -> Result<(), Status> {
        let others: Vec<Value> = self
            .known
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(_, known)| known.brief.clone())
            .collect();
        let mut change = |tree: &mut Value, _: &View| {
            let others: Vec<&Value> = others.iter().collect();
            names::accept(tree, &others, now);
            names::establish(tree, now);
            approval(tree, now);
            Ok(Vec::new())
        };
        ignore_absent(
            server
                .modify_status(DEFINITIONS, ("", name), Owner::Updates(OWN_MANAGER), &mut change)
                .await
                .map(|_| ()),
        )
    }

    /// An API service for each served version, and none for others.
    async fn register(&self, server: &ApiServer, view: &View) -> Result<(), Status> {
        let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
        for resource in server.catalogue().resources().iter().filter(|resource| resource.is_custom()) {
            let version = resource.versions.first().map_or("", |version| &version.name);
            wanted.insert((resource.group.to_string(), version.to_owned()));
        }
        let mut missing = wanted.clone();
        let mut stale = Vec::new();
        for stored in view.list(SERVICES.0, SERVICES.1, "") {
            let Some((version, group)) = stored.name().split_once('.') else { continue };
            let key = (group.to_owned(), version.to_owned());
            missing.remove(&key);
            if stored.label(MANAGED) == Some("true") && !wanted.contains(&key) {
                stale.push(stored.name().to_owned());
            }
        }
        let made: Vec<Companion> = missing
            .into_iter()
            .map(|(group, version)| api_service(&group, &version, server.edge().clock.now()))
            .collect();
        if !made.is_empty() {
            server.seed(made).await?;
        }
        for name in stale {
            let deleted =
                server.delete_as(&own_user(), SERVICES, ("", &name), &DeleteOptions::default()).await;
            ignore_absent(deleted)?;
        }
        Ok(())
    }

    /// Sees to it that every definition on its way out has somebody who deletes its objects.
    fn clean(&mut self, server: &Arc<ApiServer>) {
        self.cleaning.retain(|_, task| !task.is_finished());
        for (name, known) in &self.known {
            if meta::is_terminating(&known.brief) && !self.cleaning.contains_key(name) {
                let task = server.edge().tasks.spawn(clean(server.clone(), name.clone()));
                self.cleaning.insert(name.clone(), task);
            }
        }
    }
}

/// Without schemas.
fn brief(tree: &Value) -> Value {
    let mut spec = Value::object();
    for name in ["group", "names", "scope"] {
        spec.set(name, tree["spec"][name].clone());
    }
    let mut brief = Value::object();
    let mut metadata = tree["metadata"].clone();
    metadata.remove("managedFields");
    brief.set("metadata", metadata);
    brief.set("spec", spec);
    brief.set("status", tree["status"].clone());
    brief
}

fn hash(parts: &[&Value]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        json::to_string(part).hash(&mut hasher);
    }
    hasher.finish()
}

fn api_service(group: &str, version: &str, now: Timestamp) -> Companion {
    let name = format!("{version}.{group}");
    let object = value!({
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {"name": name.as_str(), "labels": {"kube-aggregator.kubernetes.io/automanaged": "true"}},
        "spec": {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 100},
        "status": {"conditions": [{
            "type": "Available", "status": "True", "lastTransitionTime": apimachinery::time::format(now),
            "reason": "Local", "message": "Local APIServices are always available"
        }]}
    });
    Companion {
        group: SERVICES.0.into(),
        resource: SERVICES.1.into(),
        namespace: String::new(),
        name,
        manager: OWN_MANAGER,
        change: Change::Create(object),
    }
}

/// Deletes the objects of a definition, and then the definition. Waits for
/// objects that finalizers hold.
async fn clean(server: Arc<ApiServer>, name: String) {
    let (plural, group) = name.split_once('.').unwrap_or((&name, ""));
    let mut changes = server.changes(group, plural);
    loop {
        match clean_once(&server, &name, (group, plural)).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(status) => {
                tracing::warn!(
                    definition = name,
                    why = status.message,
                    "objects of a deleted definition stay"
                );
            }
        }
        let Some(changes) = &mut changes else { return };
        if !changes.next().await {
            return;
        }
    }
}

/// Whether the definition is gone, or no longer to go.
async fn clean_once(server: &ApiServer, name: &str, (group, plural): (&str, &str)) -> Result<bool, Status> {
    let view = server.view();
    let Some(definition) = view.get(DEFINITIONS.0, DEFINITIONS.1, "", name) else { return Ok(true) };
    let definition = definition.tree();
    if !meta::is_terminating(&definition) {
        return Ok(true);
    }
    let holds = meta::finalizers(&definition).any(|finalizer| finalizer == CLEANUP);
    if holds {
        let was_established = conditions::is_true(&definition, "Established");
        let (reason, message) = ("InstanceDeletionInProgress", "CustomResource deletion is in progress");
        tell(server, name, Told { kind: "Terminating", status: true, reason, message }).await?;
        if was_established {
            let user = own_user();
            let objects: Vec<_> = view.list(group, plural, "").collect();
            for stored in objects {
                let place = (stored.namespace(), stored.name());
                let deleted =
                    server.delete_as(&user, (group, plural), place, &DeleteOptions::default()).await;
                ignore_absent(deleted)?;
            }
            if server.view().list(group, plural, "").next().is_some() {
                return Ok(false);
            }
        }
        let (reason, message) = if was_established {
            ("InstanceDeletionCompleted", "removed all instances")
        } else {
            ("NeverEstablished", "resource was never established")
        };
        let now = server.edge().clock.now();
        let mut change = |tree: &mut Value, _: &View| {
            conditions::set(tree, Told { kind: "Terminating", status: false, reason, message }, now);
            let rest: Vec<Value> =
                meta::finalizers(tree).filter(|have| *have != CLEANUP).map(Value::from).collect();
            tree.entry("metadata").set("finalizers", rest);
            Ok(Vec::new())
        };
        write(server, name, &mut change).await?;
    }
    // Others may hold it yet.
    let is_held = |definition: &Value| meta::finalizers(definition).any(|finalizer| finalizer != CLEANUP);
    if is_held(&definition) {
        return Ok(true);
    }
    let options = DeleteOptions::default();
    ignore_absent(server.delete_as(&own_user(), DEFINITIONS, ("", name), &options).await)?;
    Ok(true)
}

async fn tell(server: &ApiServer, name: &str, told: Told<'_>) -> Result<(), Status> {
    let now = server.edge().clock.now();
    let mut change = |tree: &mut Value, _: &View| {
        conditions::set(tree, told, now);
        Ok(Vec::new())
    };
    write(server, name, &mut change).await
}

/// Changes a definition, whose status the server comes to own.
async fn write(server: &ApiServer, name: &str, change: Modify<'_>) -> Result<(), Status> {
    let owner = Owner::Updates(OWN_MANAGER);
    ignore_absent(server.modify_status(DEFINITIONS, ("", name), owner, change).await.map(|_| ()))
}
