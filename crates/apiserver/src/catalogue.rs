//! Every resource that is served, found by path, by kind and by key. A value:
//! custom resources make a new one, which takes the old one's place.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::facts;
use apimachinery::Value;
use apimachinery::schema::{self, Type};
use arc_swap::ArcSwap;

use crate::input::{self, Expected};
use crate::{Definition, Storage, SubresourceKind, Version};

/// A definition in service, with what the engine derives from it once.
pub struct Resource {
    definition: Definition,
    /// The zero value of each version's kind, kind and apiVersion set.
    zeros: Vec<Value>,
    /// The members of each version's kind but kind, apiVersion, metadata and status.
    body_fields: Vec<Vec<&'static str>>,
    /// The empty status of the stored version, where it is always written.
    empty_status: Option<Value>,
    has_status: bool,
    /// The revision of the last change below its prefix that this process made.
    changed: AtomicU64,
}

impl Deref for Resource {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        &self.definition
    }
}

impl Resource {
    fn new(mut definition: Definition) -> Self {
        // A name is a key: it needs neither a copy in the header nor a trigger.
        definition.selectable.retain(|field| !matches!(&*field.name, "metadata.name" | "metadata.namespace"));
        let types = facts::types();
        let zero = |schema| schema::zero(types, Type::Struct(schema));
        let zeros = definition
            .versions
            .iter()
            .map(|version| {
                let mut zero = version.schema.map_or_else(Value::object, zero);
                let expected = Expected {
                    group: &definition.group,
                    version: &version.name,
                    kind: &definition.kind,
                    schema: version.schema,
                    structural: None,
                    twins: &[],
                };
                input::complete(&mut zero, &expected);
                zero
            })
            .collect();
        let members = |schema| -> Vec<&'static str> {
            let fields = types.get(schema).fields.iter().map(|field| field.json);
            fields.filter(|name| !matches!(*name, "kind" | "apiVersion" | "metadata" | "status")).collect()
        };
        let body_fields = definition
            .versions
            .iter()
            .map(|version| version.schema.map_or_else(|| vec!["spec"], members))
            .collect();
        let empty_status = match &definition.storage {
            Storage::Stored { schema: Some(schema), .. } => {
                Some(zero(*schema)["status"].clone()).filter(|status| !status.is_null())
            }
            _ => None,
        };
        let has_status = definition
            .subresources
            .iter()
            .any(|subresource| matches!(subresource.kind, SubresourceKind::Status));
        Self { zeros, body_fields, empty_status, has_status, definition, changed: AtomicU64::new(1) }
    }

    /// The zero value of a version's kind: what a creation starts from.
    pub(crate) fn zero(&self, version: usize) -> &Value {
        &self.zeros[version]
    }

    /// The members of a version's kind but kind, apiVersion, metadata and
    /// status; of custom resources `spec` alone.
    pub(crate) fn body_fields(&self, version: usize) -> &[&'static str] {
        &self.body_fields[version]
    }

    /// Whether status is written through a subresource only.
    pub(crate) fn has_status(&self) -> bool {
        self.has_status
    }

    /// Drops whatever status a client sent with a new object.
    pub(crate) fn reset_status(&self, object: &mut Value) {
        match &self.empty_status {
            Some(empty) => object.set("status", empty.clone()),
            None => {
                object.remove("status");
            }
        }
    }

    /// Remembers a change; see [`Resource::changed`].
    pub(crate) fn touch(&self, revision: u64) {
        self.changed.fetch_max(revision, Ordering::Release);
    }

    /// A number that grows whenever something of this resource changes.
    pub(crate) fn changed(&self) -> u64 {
        self.changed.load(Ordering::Acquire)
    }
}

/// See the module.
#[derive(Default)]
pub struct Catalogue {
    resources: Vec<Arc<Resource>>,
    /// Group, version, plural → resource and version.
    by_path: BTreeMap<String, (usize, usize)>,
    /// Group and plural → resource.
    by_name: BTreeMap<String, usize>,
    /// Group, version, kind → resource and version.
    by_kind: BTreeMap<String, (usize, usize)>,
    by_prefix: BTreeMap<String, Arc<Resource>>,
    /// Groups in the order of their first definition, with their versions in order.
    groups: Vec<(String, Vec<String>)>,
    number: u64,
}

/// The catalogue in force, shared and replaceable.
pub type SharedCatalogue = Arc<ArcSwap<Catalogue>>;

fn path(group: &str, version: &str, name: &str) -> String {
    let mut key = String::with_capacity(group.len() + version.len() + name.len() + 2);
    key.push_str(group);
    key.push('/');
    key.push_str(version);
    key.push('/');
    key.push_str(name);
    key
}

impl Catalogue {
    /// Definitions in the order of discovery. Of two with one path the first counts.
    pub fn new(definitions: impl IntoIterator<Item = Definition>) -> Self {
        let resources =
            definitions.into_iter().map(|definition| Arc::new(Resource::new(definition))).collect();
        Self::of(resources, 1)
    }

    /// The same with other custom definitions: what `keep` refuses goes, then `added` come.
    pub fn with(
        &self,
        keep: impl Fn(&Definition) -> bool,
        added: impl IntoIterator<Item = Definition>,
    ) -> Self {
        let kept = self.resources.iter().filter(|resource| keep(resource)).cloned();
        let added = added.into_iter().map(|definition| Arc::new(Resource::new(definition)));
        Self::of(kept.chain(added).collect(), self.number + 1)
    }

    fn of(resources: Vec<Arc<Resource>>, number: u64) -> Self {
        let mut made = Self { number, ..Self::default() };
        for (at, resource) in resources.iter().enumerate() {
            made.by_name.entry(path(&resource.group, "", &resource.resource)).or_insert(at);
            if let Some(prefix) = resource.prefix() {
                made.by_prefix.entry(prefix.to_owned()).or_insert_with(|| resource.clone());
            }
            let group = match made.groups.iter_mut().find(|(name, _)| *name == resource.group) {
                Some(group) => group,
                None => {
                    made.groups.push((resource.group.to_string(), Vec::new()));
                    made.groups.last_mut().expect("just pushed")
                }
            };
            for (index, version) in resource.versions.iter().enumerate() {
                if !group.1.iter().any(|have| *have == version.name) {
                    group.1.push(version.name.to_string());
                }
                made.by_path
                    .entry(path(&resource.group, &version.name, &resource.resource))
                    .or_insert((at, index));
                made.by_kind
                    .entry(path(&resource.group, &version.name, &resource.kind))
                    .or_insert((at, index));
            }
        }
        made.resources = resources;
        made
    }

    /// The resource behind a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<(&Arc<Resource>, &Version)> {
        let &(at, index) = self.by_path.get(&path(group, version, plural))?;
        let resource = &self.resources[at];
        Some((resource, &resource.versions[index]))
    }

    /// The resource, whatever its versions.
    pub fn resource(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_name.get(&path(group, "", plural)).map(|at| &self.resources[*at])
    }

    /// The resource of a kind.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<(&Arc<Resource>, &Version)> {
        let &(at, index) = self.by_kind.get(&path(group, version, kind))?;
        let resource = &self.resources[at];
        Some((resource, &resource.versions[index]))
    }

    /// The resource whose prefix `key` begins with.
    pub fn of_key(&self, key: &str) -> Option<&Arc<Resource>> {
        let (prefix, resource) = self
            .by_prefix
            .range::<str, _>((std::ops::Bound::Unbounded, std::ops::Bound::Included(key)))
            .next_back()?;
        key.starts_with(prefix.as_str()).then_some(resource)
    }

    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// Groups with their versions, in the order of their definitions.
    pub fn groups(&self) -> &[(String, Vec<String>)] {
        &self.groups
    }

    /// Grows with every new catalogue.
    pub fn number(&self) -> u64 {
        self.number
    }
}
