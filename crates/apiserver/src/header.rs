//! The small part of an object that stays decoded beside its bytes.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::json::{self, Order, Splice};
use apimachinery::labels::{Operator, Selector};
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
    let marks = header.labels().fold(0, |marks, (key, value)| marks | mark(key, Some(value)));
    Indexed::new(Arc::new(header), triggers).marked(marks)
}

/// The marks of a label, or those that every label of this key has: one bit of
/// the key and two of the value. Different labels may share some.
pub(crate) fn mark(key: &str, value: Option<&str>) -> u64 {
    // FNV-1a, the same in every process, and MurmurHash3's end: the high bits of
    // FNV alone hardly know the last letter, in which values mostly differ.
    let hash = |start: u64, text: &str| {
        let hash =
            text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
    };
    let of_key = hash(0xcbf2_9ce4_8422_2325, key);
    let bit = |hash: u64, shift: u32| 1u64 << (hash >> shift & 63);
    let own = bit(of_key, 58);
    match value {
        None => own,
        Some(value) => {
            let of_both = hash(of_key.rotate_left(8) ^ 0xff, value);
            own | bit(of_both, 58) | bit(of_both, 46)
        }
    }
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

/// The marks that every object has which a selector chooses.
pub(crate) fn marks(selector: &Selector) -> u64 {
    selector.requirements().iter().fold(0, |marks, requirement| {
        let present = match requirement.operator() {
            Operator::NotIn | Operator::NotEquals | Operator::DoesNotExist => return marks,
            _ => mark(requirement.key(), requirement.exact()),
        };
        marks | present
    })
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

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn whatever_a_selector_chooses_has_its_marks() {
        let labels = [("app", "web"), ("ex.com/tier", "front"), ("empty", "")];
        let mut object = value!({"metadata": {"name": "a"}});
        for (key, value) in labels {
            object.set_at(&["metadata", "labels", key], value);
        }
        let header = Header::of(None, &object, Splice::default());
        let have = header.labels().fold(0, |marks, (key, value)| marks | mark(key, Some(value)));
        for text in [
            "",
            "app=web",
            "app==web,empty=",
            "app in (web)",
            "app in (web,other)",
            "app",
            "ex.com/tier=front,app",
            "!none",
            "app!=other",
            "app notin (x,y)",
            "ex.com/tier in (front)",
        ] {
            let selector = Selector::parse(text).unwrap();
            assert!(selector.matches(&header), "{text}");
            let wanted = marks(&selector);
            assert_eq!(have & wanted, wanted, "{text}");
        }
        // Others are mostly passed by.
        let passed = (0..1000).filter(|number| {
            let wanted = mark("app", Some(&format!("other-{number}")));
            have & wanted != wanted
        });
        assert!(passed.count() > 900);
        // Values that differ in their last letters do not look alike.
        let values: Vec<u64> = (0..50).map(|number| mark("app", Some(&format!("w{number}")))).collect();
        let alike = values.iter().flat_map(|one| values.iter().filter(move |other| **other & one == *one));
        assert!(alike.count() < 60);
    }
}
