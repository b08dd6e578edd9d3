//! A read snapshot of the store for those who decide: authorizers, admission,
//! strategies. Never a lock, never a wait.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Value, json};
use bytes::Bytes;
use parking_lot::Mutex;
use store::{Entry, Key, Snapshot, Trigger};

use crate::Header;
use crate::catalogue::{Catalogue, Resource};
use crate::header::trigger_name;

/// Everything as it was at one moment.
#[derive(Clone)]
pub struct View {
    snapshot: Snapshot,
    catalogue: Arc<Catalogue>,
    derivations: Arc<Derivations>,
}

/// An index computed from resources, kept until one of them changes (RBAC's
/// compiled bindings).
pub trait Derived: Any + Send + Sync + Sized {
    /// The resources (group, plural) that it is computed from.
    const SOURCES: &'static [(&'static str, &'static str)];

    fn derive(view: &View) -> Self;
}

/// A derivation and the state of its sources that it was made from.
type Derivation = (u64, Arc<dyn Any + Send + Sync>);

/// The derived indexes of a server.
#[derive(Default)]
pub(crate) struct Derivations(Mutex<BTreeMap<TypeId, Derivation>>);

impl View {
    pub(crate) fn new(snapshot: Snapshot, catalogue: Arc<Catalogue>, derivations: Arc<Derivations>) -> Self {
        Self { snapshot, catalogue, derivations }
    }

    pub fn revision(&self) -> u64 {
        self.snapshot.revision()
    }

    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// An object by group and plural; `namespace` is "" for cluster-scoped ones.
    pub fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Stored> {
        let resource = self.catalogue.resource(group, plural)?;
        let key = Key::from(resource.key(namespace, name)?);
        let entry = self.snapshot.get(&key)?.clone();
        Some(Stored { entry, resource: resource.clone() })
    }

    /// Objects of a resource in the order of their keys; `namespace` "" is all.
    pub fn list(&self, group: &str, plural: &str, namespace: &str) -> Box<dyn Iterator<Item = Stored>> {
        let Some(resource) = self.catalogue.resource(group, plural).cloned() else {
            return Box::new(std::iter::empty());
        };
        let Some(prefix) = resource.prefix() else { return Box::new(std::iter::empty()) };
        let prefix = if namespace.is_empty() || !resource.is_namespaced() {
            prefix.to_owned()
        } else {
            format!("{prefix}{namespace}/")
        };
        // Arcs alone are collected: a listing borrows nothing of its prefix.
        let entries: Vec<Arc<Entry>> = self.snapshot.range(&prefix, None).cloned().collect();
        Box::new(entries.into_iter().map(move |entry| Stored { entry, resource: resource.clone() }))
    }

    /// Objects of a resource whose `field` is `value`, in all namespaces, without
    /// a look at any other; nothing where no trigger is on the field.
    pub fn selected(
        &self,
        group: &str,
        plural: &str,
        field: &str,
        value: &str,
    ) -> impl Iterator<Item = Stored> + use<> {
        let chosen = self.catalogue.resource(group, plural).and_then(|resource| {
            let mut fields = resource.selectable.iter().filter(|known| known.trigger && known.name == field);
            let trigger = Trigger::new(trigger_name(fields.next()?)?, value);
            let entries = self.snapshot.by_trigger(resource.prefix()?, &trigger);
            Some((resource.clone(), entries.cloned().collect::<Vec<_>>()))
        });
        chosen.into_iter().flat_map(|(resource, entries)| {
            entries.into_iter().map(move |entry| Stored { entry, resource: resource.clone() })
        })
    }

    /// The index `T`, computed where its sources changed since the last time.
    pub fn derived<T: Derived>(&self) -> Arc<T> {
        let state = T::SOURCES
            .iter()
            .filter_map(|(group, plural)| self.catalogue.resource(group, plural))
            .map(|resource| resource.changed())
            .max()
            .unwrap_or(0);
        let known = self.derivations.0.lock().get(&TypeId::of::<T>()).cloned();
        if let Some((of, derivation)) = known
            && of == state
            && let Ok(derivation) = derivation.downcast::<T>()
        {
            return derivation;
        }
        let made = Arc::new(T::derive(self));
        // A snapshot that is older than the state must not be remembered as of it.
        if self.revision() >= state {
            self.derivations.0.lock().insert(TypeId::of::<T>(), (state, made.clone()));
        }
        made
    }
}

/// A stored object: bytes, header and revision.
#[derive(Clone)]
pub struct Stored {
    entry: Arc<Entry>,
    resource: Arc<Resource>,
}

impl Stored {
    pub fn name(&self) -> &str {
        self.entry.key.as_str().rsplit('/').next().unwrap_or("")
    }

    /// "" for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        if !self.resource.is_namespaced() {
            return "";
        }
        self.entry.key.as_str().rsplit('/').nth(1).unwrap_or("")
    }

    /// `metadata.resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.entry.revision
    }

    pub fn header(&self) -> &Header {
        static NONE: std::sync::LazyLock<Header> = std::sync::LazyLock::new(Header::default);
        self.entry.header().unwrap_or(&NONE)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.header().label(key)
    }

    /// A selectable field by its name (`spec.nodeName`).
    pub fn field(&self, name: &str) -> Option<&str> {
        let at = self.resource.selectable.iter().position(|field| field.name == name)?;
        self.header().field(at)
    }

    pub fn is_terminating(&self) -> bool {
        self.header().is_terminating
    }

    /// Canonical JSON in the stored version, without resourceVersion.
    pub fn bytes(&self) -> &Bytes {
        &self.entry.value
    }

    /// The tree in the stored version, without resourceVersion. Null where the
    /// bytes cannot be read.
    pub fn tree(&self) -> Value {
        json::parse_ordered(&self.entry.value).unwrap_or_default()
    }

    /// The part of the object that `T` asks for.
    ///
    /// # Errors
    /// What serde_json says.
    pub fn decode<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.entry.value)
    }
}
