//! What has to change in the kernel to get from one rule set to another.
//! Pure.

use std::collections::BTreeMap;

use super::{Chain, Key, RuleSet, Set, Value};

/// Steps that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sets to make (without elements; those are in `elements`).
    pub new_sets: BTreeMap<String, Set>,
    pub gone_sets: Vec<String>,
    /// Chains to make, or whose rules are replaced.
    pub chains: BTreeMap<String, Chain>,
    pub gone_chains: Vec<String>,
    pub elements: BTreeMap<String, ElementChanges>,
}

/// What leaves a set and what enters it. A changed value does both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElementChanges {
    pub remove: Vec<Key>,
    pub add: BTreeMap<Key, Option<Value>>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.new_sets.is_empty()
            && self.gone_sets.is_empty()
            && self.chains.is_empty()
            && self.gone_chains.is_empty()
            && self.elements.values().all(|set| set.remove.is_empty() && set.add.is_empty())
    }

    /// From `old` to `new`. A set or hooked chain that keeps its name must
    /// keep its shape or hook (the kernel cannot change those in place): where
    /// it does not, there is no such path and the answer is None.
    pub fn between(old: &RuleSet, new: &RuleSet) -> Option<Self> {
        let mut changes = Self::default();
        for (name, set) in &new.sets {
            match old.sets.get(name) {
                Some(before) if !before.same_shape(set) => return None,
                Some(before) => changes.compare_elements(name, &before.elements, &set.elements),
                None => {
                    changes.new_sets.insert(name.clone(), Set { elements: BTreeMap::new(), ..set.clone() });
                    changes.compare_elements(name, &BTreeMap::new(), &set.elements);
                }
            }
        }
        for (name, chain) in &new.chains {
            match old.chains.get(name) {
                Some(before) if before.hook != chain.hook => return None,
                Some(before) if before == chain => {}
                _ => drop(changes.chains.insert(name.clone(), chain.clone())),
            }
        }
        changes.gone_sets = old.sets.keys().filter(|name| !new.sets.contains_key(*name)).cloned().collect();
        changes.gone_chains =
            old.chains.keys().filter(|name| !new.chains.contains_key(*name)).cloned().collect();
        Some(changes)
    }

    /// Notes what differs between two states of (a part of) one set.
    pub fn compare_elements(
        &mut self,
        set: &str,
        old: &BTreeMap<Key, Option<Value>>,
        new: &BTreeMap<Key, Option<Value>>,
    ) {
        let mut changes = ElementChanges::default();
        for (key, value) in old {
            if new.get(key) != Some(value) {
                changes.remove.push(key.clone());
            }
        }
        for (key, value) in new {
            if old.get(key) != Some(value) {
                changes.add.insert(key.clone(), value.clone());
            }
        }
        if !changes.remove.is_empty() || !changes.add.is_empty() {
            let all = self.elements.entry(set.to_owned()).or_default();
            all.remove.extend(changes.remove);
            all.add.extend(changes.add);
        }
    }

    /// Does to `rules` what the kernel does to the table.
    pub fn apply_to(&self, rules: &mut RuleSet) {
        for name in &self.gone_chains {
            rules.chains.remove(name);
        }
        for name in &self.gone_sets {
            rules.sets.remove(name);
        }
        rules.chains.extend(self.chains.clone());
        rules.sets.extend(self.new_sets.clone());
        for (name, changes) in &self.elements {
            if let Some(set) = rules.sets.get_mut(name) {
                for key in &changes.remove {
                    set.elements.remove(key);
                }
                set.elements.extend(changes.add.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Family, Kind, Rule, Statement, Verdict};

    fn rules(ports: &[u16], verdict: Verdict) -> RuleSet {
        let mut rules = RuleSet::new();
        rules.sets.insert("open".into(), Set::verdicts([Kind::Port]));
        for port in ports {
            rules.insert("open", Key::new().port(*port), Some(Value::Verdict(verdict.clone())));
        }
        rules
    }

    #[test]
    fn one_change_touches_one_element() {
        let (old, new) = (rules(&[1, 2, 3], Verdict::Accept), rules(&[1, 3, 4], Verdict::Accept));
        let changes = Changes::between(&old, &new).unwrap();
        let elements = &changes.elements["open"];
        assert_eq!(elements.remove, [Key::new().port(2)]);
        assert_eq!(elements.add.keys().collect::<Vec<_>>(), [&Key::new().port(4)]);
        let mut applied = old;
        changes.apply_to(&mut applied);
        assert_eq!(applied, new);
    }

    #[test]
    fn a_changed_value_leaves_and_enters() {
        let changes = Changes::between(&rules(&[1], Verdict::Accept), &rules(&[1], Verdict::Drop)).unwrap();
        let elements = &changes.elements["open"];
        assert_eq!((elements.remove.len(), elements.add.len()), (1, 1));
    }

    #[test]
    fn chains_and_sets_come_and_go() {
        let mut old = rules(&[1], Verdict::Accept);
        old.chains.insert("gone".into(), Chain::default());
        old.chains.insert("same".into(), Chain::default());
        let mut new = RuleSet::new();
        new.chains.insert("same".into(), Chain::default());
        let refused = Chain::default().rule(Rule::of(Family::Ipv4, [Statement::Reject]));
        new.chains.insert("new".into(), refused.clone());
        let changes = Changes::between(&old, &new).unwrap();
        assert_eq!(changes.gone_chains, ["gone"]);
        assert_eq!(changes.gone_sets, ["open"]);
        assert_eq!(changes.chains, BTreeMap::from([("new".to_owned(), refused)]));
        changes.apply_to(&mut old);
        assert_eq!(old, new);
        assert!(Changes::between(&new, &new).unwrap().is_empty());
    }

    #[test]
    fn another_shape_has_no_path() {
        let mut other = RuleSet::new();
        other.sets.insert("open".into(), Set::of([Kind::Port]));
        assert_eq!(Changes::between(&rules(&[], Verdict::Accept), &other), None);
    }
}
