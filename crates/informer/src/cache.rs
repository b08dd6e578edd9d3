//! The projections of one resource with their indexes. Pure: no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{ObjectKey, Projection};

/// A way to find objects by something other than their key.
pub struct Index<P> {
    pub name: &'static str,
    /// The values under which an object is found.
    pub values: fn(&P) -> Vec<String>,
}

/// Keys by an index's values.
type Entries = BTreeMap<String, BTreeSet<ObjectKey>>;

pub(crate) struct Cache<P> {
    items: BTreeMap<ObjectKey, Arc<P>>,
    indexes: Vec<(Index<P>, Entries)>,
}

impl<P: Projection> Cache<P> {
    pub fn new(indexes: Vec<Index<P>>) -> Self {
        Self {
            items: BTreeMap::new(),
            indexes: indexes.into_iter().map(|index| (index, BTreeMap::new())).collect(),
        }
    }

    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<P>> {
        self.items.get(key)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<P>)> {
        self.items.iter()
    }

    /// Objects of one namespace, in order of name.
    pub fn namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<P>> {
        let namespace = namespace.to_owned();
        self.items
            .range(ObjectKey::new(namespace.clone(), "")..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, item)| item)
    }

    /// Objects found under `value` in the index `name`, in order of key.
    ///
    /// # Panics
    /// Where there is no such index: a mistake of the caller's.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<P>> {
        let (_, entries) = self
            .indexes
            .iter()
            .find(|(index, _)| index.name == name)
            .expect("an informer is asked for the indexes it was started with");
        let keys = entries.get(value).into_iter().flatten();
        keys.filter_map(|key| self.items.get(key).cloned()).collect()
    }

    /// Sets (or with None removes) an object and gives what was there.
    pub fn put(&mut self, key: &ObjectKey, item: Option<Arc<P>>) -> Option<Arc<P>> {
        let old = match &item {
            Some(item) => self.items.insert(key.clone(), item.clone()),
            None => self.items.remove(key),
        };
        for (index, entries) in &mut self.indexes {
            let before = old.as_deref().map(index.values).unwrap_or_default();
            let after = item.as_deref().map(index.values).unwrap_or_default();
            if before == after {
                continue;
            }
            for value in before {
                if let Some(keys) = entries.get_mut(&value) {
                    keys.remove(key);
                    if keys.is_empty() {
                        entries.remove(&value);
                    }
                }
            }
            for value in after {
                entries.entry(value).or_default().insert(key.clone());
            }
        }
        old
    }

    /// Keys that are in the cache and not in `present`.
    pub fn missing_from(&self, present: &BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
        self.items.keys().filter(|key| !present.contains(key)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meta;

    fn meta(name: &str, color: &str) -> Arc<Meta> {
        let labels = [("color".to_owned(), color.to_owned())].into();
        Arc::new(Meta { namespace: "ns".into(), name: name.into(), labels, ..Meta::default() })
    }

    #[test]
    fn indexes_follow_changes() {
        let mut cache = Cache::new(vec![Index {
            name: "color",
            values: |meta: &Meta| meta.labels.get("color").cloned().into_iter().collect(),
        }]);
        let key = ObjectKey::new("ns", "a");
        let names = |cache: &Cache<Meta>, color| {
            cache.by_index("color", color).iter().map(|m| m.name.clone()).collect::<Vec<_>>()
        };
        assert!(cache.put(&key, Some(meta("a", "red"))).is_none());
        assert_eq!(names(&cache, "red"), ["a"]);
        cache.put(&key, Some(meta("a", "blue")));
        assert!(names(&cache, "red").is_empty());
        assert_eq!(names(&cache, "blue"), ["a"]);
        assert_eq!(cache.put(&key, None).unwrap().name, "a");
        assert!(names(&cache, "blue").is_empty());
        assert_eq!(cache.iter().count(), 0);
    }

    #[test]
    fn a_namespace_is_a_range() {
        let mut cache = Cache::<Meta>::new(vec![]);
        for (namespace, name) in [("a", "x"), ("b", "x"), ("b", "y"), ("ba", "x")] {
            let item = Meta { namespace: namespace.into(), name: name.into(), ..Meta::default() };
            cache.put(&ObjectKey::new(namespace, name), Some(Arc::new(item)));
        }
        let names: Vec<_> = cache.namespace("b").map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
    }
}
