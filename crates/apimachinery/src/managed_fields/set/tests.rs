//! The laws of sets, on generated sets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::value;

type Path = Vec<String>;

fn of(paths: &BTreeSet<Path>) -> Set {
    let mut set = Set::new();
    for path in paths {
        let elements: Vec<Key> = path.iter().cloned().map(Key::Owned).collect();
        set.insert(&elements);
    }
    set
}

fn paths() -> impl Strategy<Value = BTreeSet<Path>> {
    let element = prop_oneof![
        Just("f:a".to_owned()),
        Just("f:b".to_owned()),
        Just("k:{\"port\":9}".to_owned()),
        Just("k:{\"port\":80}".to_owned()),
        Just("v:\"x\"".to_owned()),
        Just("i:2".to_owned()),
    ];
    proptest::collection::btree_set(proptest::collection::vec(element, 1..4), 0..12)
}

fn model(set: &Set) -> BTreeSet<Path> {
    let list = set.paths();
    let unique: BTreeSet<Path> = list.iter().cloned().collect();
    assert_eq!(list.len(), unique.len(), "a path stands twice");
    unique
}

proptest! {
    #[test]
    fn sets_hold_what_was_put_in(a in paths()) {
        prop_assert_eq!(model(&of(&a)), a);
    }

    #[test]
    fn fields_v1_reads_back(a in paths()) {
        let set = of(&a);
        let written = set.clone().into_fields_v1();
        let read = Set::from_fields_v1(&written);
        prop_assert_eq!(read.as_ref(), Some(&set));
        let text = |set: Set| crate::json::to_string(&set.into_fields_v1());
        prop_assert_eq!(read.map(text), Some(text(set)));
    }

    #[test]
    fn operations_are_those_of_sets(a in paths(), b in paths()) {
        let (x, y) = (of(&a), of(&b));
        let mut union = x.clone();
        union.unite(&y);
        prop_assert_eq!(model(&union), &a | &b);
        let mut difference = x.clone();
        difference.subtract(&y);
        prop_assert_eq!(model(&difference), &a - &b);
        prop_assert_eq!(model(&x.intersection(&y)), &a & &b);
        prop_assert_eq!(x.intersects(&y), !a.is_disjoint(&b));
        let mut below = x.clone();
        below.subtract_below(&y);
        let kept: BTreeSet<Path> =
            a.iter().filter(|path| !b.iter().any(|other| path.starts_with(other))).cloned().collect();
        prop_assert_eq!(model(&below), kept);
        // Whatever the way, one set has one form.
        let again = of(&(&a | &b));
        prop_assert_eq!(crate::json::to_string(&again.into_fields_v1()), crate::json::to_string(&union.into_fields_v1()));
    }
}

#[test]
fn what_is_no_set_is_refused() {
    for bad in [
        value!([]),
        value!({"x:a": {}}),
        value!({"f:a": 1}),
        value!({"f:a": {"b": {}}}),
        value!({"i:1": {}, "i:01": {}}),
    ] {
        assert_eq!(Set::from_fields_v1(&bad), None, "{bad:?}");
    }
}

#[test]
fn the_path_that_leads_nowhere_is_no_field() {
    let set = Set::from_fields_v1(&value!({".": {}, "f:a": {".": {}, "f:b": {}}})).expect("a set");
    assert_eq!(set.into_fields_v1(), value!({"f:a": {".": {}, "f:b": {}}}));
    assert!(Set::from_fields_v1(&value!({".": {}})).expect("a set").is_empty());
}

#[test]
fn membership() {
    let set = Set::from_fields_v1(&value!({"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}})).expect("a set");
    assert!(set.contains(&["f:a"]) && set.contains(&["f:a", "f:b"]) && set.contains(&["f:c", "f:d"]));
    assert!(!set.contains(&["f:c"]) && !set.contains(&[]) && !set.contains(&["f:x"]));
    assert_eq!(Set::of_fields(&[&["status"]]).into_fields_v1(), value!({"f:status": {}}));
}
