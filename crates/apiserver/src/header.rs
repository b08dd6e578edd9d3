//! The small part of an object that stays decoded beside its bytes.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::json::{self, Order, Splice};
use apimachinery::{Value, meta};
use bytes::Bytes;
use store::{Indexed, Indexer, Key, Trigger};

use crate::Selectable;
use crate::catalogue::{Resource, SharedCatalogue};

/// What lists, watches and selectors need of an object without decoding it.
/// Name and namespace are in its key.
#[derive(Debug, Default)]
pub struct Header {
    /// Where `resourceVersion` goes in the bytes.
    pub splice: Splice,
    /// Keys and values in turn, each ended by a zero byte: one allocation, and
    /// one place in memory to look at, for all of them.
    labels: Box<str>,
    /// The values of the definition's selectable fields, in its order, likewise.
    fields: Box<str>,
    /// Deletion was asked for.
    pub is_terminating: bool,
    /// Why the bytes cannot be served, where they cannot.
    pub broken: Option<Box<str>>,
}

impl Header {
    /// The header of `object` as `resource` stores it.
    pub fn of(resource: Option<&Resource>, object: &Value, splice: Splice) -> Self {
        let mut labels = String::new();
        for (key, value) in meta::labels(object) {
            push(&mut labels, key);
            push(&mut labels, value);
        }
        let mut fields = String::new();
        for field in resource.iter().flat_map(|resource| &resource.selectable) {
            push(&mut fields, &field.read(object));
        }
        Self {
            splice,
            labels: labels.into(),
            fields: fields.into(),
            is_terminating: meta::is_terminating(object),
            broken: None,
        }
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        let mut parts = self.labels.split_terminator('\0');
        while let (Some(have), Some(value)) = (parts.next(), parts.next()) {
            if have == key {
                return Some(value);
            }
        }
        None
    }

    /// The labels, in their order.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.labels.split_terminator('\0');
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// The value of the selectable field at `index` of the definition.
    pub fn field(&self, index: usize) -> Option<&str> {
        self.fields.split_terminator('\0').nth(index)
    }
}

/// Appends a text and its end. A zero byte in the text itself (no valid value
/// has one) would end it early, so it goes.
fn push(out: &mut String, text: &str) {
    if text.contains('\0') {
        out.push_str(&text.replace('\0', ""));
    } else {
        out.push_str(text);
    }
    out.push('\0');
}

/// Header and triggers of an object, for the store.
pub(crate) fn indexed(resource: &Resource, object: &Value, splice: Splice) -> Indexed {
    let header = Header::of(Some(resource), object, splice);
    let triggers: Vec<Trigger> = resource
        .selectable
        .iter()
        .enumerate()
        .filter(|(_, field)| field.trigger)
        .filter_map(|(index, field)| {
            let value = header.field(index).filter(|value| !value.is_empty())?;
            Some(Trigger::new(trigger_name(field)?, value))
        })
        .collect();
    Indexed::new(Arc::new(header), triggers)
}

/// Triggers are indexes of the store, whose names are of the program.
pub(crate) fn trigger_name(field: &Selectable) -> Option<&'static str> {
    match &field.name {
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
