//! The small part of an object that stays decoded beside its bytes.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::json::{self, Order, Splice};
use apimachinery::{Value, meta};
use bytes::Bytes;
use store::{Indexed, Indexer, Key, Trigger};

use crate::catalogue::{Resource, SharedCatalogue};

/// What lists, watches and selectors need of an object without decoding it.
/// Name and namespace are in its key.
#[derive(Debug, Default)]
pub struct Header {
    /// Where `resourceVersion` goes in the bytes.
    pub splice: Splice,
    /// Sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// The values of the definition's selectable fields, in its order.
    pub fields: Box<[Box<str>]>,
    /// Deletion was asked for.
    pub is_terminating: bool,
    /// Why the bytes cannot be served, where they cannot.
    pub broken: Option<Box<str>>,
}

impl Header {
    /// The header of `object` as `resource` stores it.
    pub fn of(resource: Option<&Resource>, object: &Value, splice: Splice) -> Self {
        let mut labels: Vec<(Box<str>, Box<str>)> =
            meta::labels(object).map(|(key, value)| (key.into(), value.into())).collect();
        labels.sort();
        let fields = resource.map_or_else(Box::default, |resource| {
            resource.selectable.iter().map(|field| Box::from(&*field.read(object))).collect()
        });
        Self {
            splice,
            labels: labels.into(),
            fields,
            is_terminating: meta::is_terminating(object),
            broken: None,
        }
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(have, _)| (**have).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }
}

/// Header and triggers of an object, for the store.
pub(crate) fn indexed(resource: &Resource, object: &Value, splice: Splice) -> Indexed {
    let header = Header::of(Some(resource), object, splice);
    let triggers: Vec<Trigger> = resource
        .selectable
        .iter()
        .zip(&header.fields)
        .filter(|(field, value)| field.trigger && !value.is_empty())
        .filter_map(|(field, value)| Some(Trigger::new(trigger_name(&field.name)?, &**value)))
        .collect();
    Indexed::new(Arc::new(header), triggers)
}

/// Triggers are indexes of the store, whose names are of the program.
pub(crate) fn trigger_name(name: &Cow<'static, str>) -> Option<&'static str> {
    match name {
        Cow::Borrowed(name) => Some(name),
        Cow::Owned(_) => None,
    }
}

/// Makes the headers of what the store reads from disk.
pub struct HeaderIndexer {
    catalogue: SharedCatalogue,
}

impl HeaderIndexer {
    pub fn new(catalogue: SharedCatalogue) -> Self {
        Self { catalogue }
    }
}

impl Indexer for HeaderIndexer {
    fn index(&self, key: &Key, value: &Bytes) -> Indexed {
        let object = match json::parse_ordered(value) {
            Ok(object) => object,
            Err(error) => {
                let header = Header { broken: Some(error.to_string().into()), ..Header::default() };
                return Indexed::new(Arc::new(header), Vec::new());
            }
        };
        let catalogue = self.catalogue.load();
        match catalogue.of_key(key.as_str()) {
            Some(resource) => {
                let splice = find_splice(&object, order(resource));
                indexed(resource, &object, splice)
            }
            None => {
                let splice = find_splice(&object, Order::Sorted);
                Indexed::new(Arc::new(Header::of(None, &object, splice)), Vec::new())
            }
        }
    }
}

/// How the members of a resource's metadata are ordered.
pub(crate) fn order(resource: &Resource) -> Order {
    match &resource.storage {
        crate::Storage::Stored { schema: None, .. } => Order::Sorted,
        _ => Order::Go,
    }
}

/// Canonical bytes decode and encode to themselves, so that encoding again
/// tells where the revision goes.
fn find_splice(object: &Value, order: Order) -> Splice {
    let mut scratch = Vec::with_capacity(1024);
    json::encode_object(object, order, &mut scratch).unwrap_or_default()
}
