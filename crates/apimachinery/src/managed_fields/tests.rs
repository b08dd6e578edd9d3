//! Ownership by table and by property, on types made up for it.

use proptest::prelude::*;

use super::*;
use crate::schema::{Type, Types, zero};
use crate::value;

const FACTS: &str = "\
K\tg\tv1\tThing\tapi/g/v1.Thing
S\tapi/g/v1.Thing
F\tmetadata\tapi/g/v1.Meta\t1\te
F\tspec\tapi/g/v1.Spec\t2\te
F\tstatus\tapi/g/v1.Status\t3\te
F\tdata\tmap[string]string\t4\te
S\tapi/g/v1.Meta
F\tname\tstring\t1\te
F\tuid\tstring\t2\te
F\tlabels\tmap[string]string\t3\te
F\tfinalizers\t[]string\t4\te\tl=set
F\tmanagedFields\t[]api/g/v1.Entry\t5\te
S\tapi/g/v1.Entry
F\tmanager\tstring\t1\te
S\tapi/g/v1.Spec
F\titems\t[]api/g/v1.Item\t1\te\tl=map:name
F\tplain\t[]string\t2\te
F\tcount\t*int32\t3\te
S\tapi/g/v1.Item
F\tname\tstring\t1\te
F\tvalue\tstring\t2\te
S\tapi/g/v1.Status
F\tphase\tstring\t1\te
";

struct World {
    types: Types,
}

impl World {
    fn new() -> Self {
        World { types: Types::load(FACTS).expect("the facts of this test") }
    }

    fn shape(&self) -> Shape<'_> {
        Shape::of(&self.types, self.types.kind("g", "v1", "Thing").expect("the kind of this test"))
    }

    fn versions(&self) -> Single<'_> {
        Single { api_version: "g/v1", shape: self.shape() }
    }

    fn zero(&self) -> Value {
        zero(&self.types, Type::Struct(self.types.kind("g", "v1", "Thing").expect("the kind of this test")))
    }

    fn create(&self, mut new: Value, write: &Write<'_>) -> Value {
        update(&self.versions(), &self.zero(), &mut new, write);
        // The server gives the uid behind the ownership.
        new.set_at(&["metadata", "uid"], "u");
        new
    }

    fn write(&self, live: &Value, change: impl FnOnce(&mut Value), write: &Write<'_>) -> Value {
        let mut new = live.clone();
        change(&mut new);
        update(&self.versions(), live, &mut new, write);
        new
    }
}

static NO_RESET: Set = Set::new();

fn by<'a>(manager: &'a str, time: &'a str) -> Write<'a> {
    Write { manager, api_version: "g/v1", subresource: "", time, reset: &NO_RESET }
}

/// `manager/subresource@time=fields` of each entry.
fn owners(object: &Value) -> Vec<String> {
    object["metadata"]["managedFields"]
        .items()
        .iter()
        .map(|entry| {
            format!(
                "{}/{}@{}={}",
                entry["manager"].text(),
                entry["subresource"].text(),
                entry["time"].text(),
                crate::json::to_string(&entry["fieldsV1"])
            )
        })
        .collect()
}

fn thing() -> Value {
    value!({"metadata": {"name": "a", "labels": {"l": "1"}, "finalizers": ["f/x"]},
        "spec": {"items": [{"name": "i", "value": "1"}], "plain": ["p"], "count": 1}, "status": {}})
}

#[test]
fn a_creation_owns_what_it_sets() {
    let world = World::new();
    let created = world.create(thing(), &by("alice", "t1"));
    assert_eq!(
        owners(&created),
        [
            r#"alice/@t1={"f:metadata":{"f:finalizers":{".":{},"v:\"f/x\"":{}},"f:labels":{".":{},"f:l":{}}},"f:spec":{"f:count":{},"f:items":{".":{},"k:{\"name\":\"i\"}":{".":{},"f:name":{},"f:value":{}}},"f:plain":{}}}"#
        ]
    );
    let entry = &created["metadata"]["managedFields"][0];
    let names: Vec<&str> = entry.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]);
    assert_eq!(
        owners(&world.create(value!({"metadata": {"name": "a"}, "spec": {}, "status": {}}), &by("x", "t"))),
        Vec::<String>::new()
    );
    assert!(owners(&world.create(thing(), &by("", "t1")))[0].starts_with("unknown/@t1"));
}

#[test]
fn a_changed_field_moves_to_who_changed_it() {
    let world = World::new();
    let live = world.create(
        value!({"metadata": {"name": "a"}, "spec": {}, "status": {}, "data": {"k": "1", "l": "1"}}),
        &by("alice", "t1"),
    );
    let changed = world.write(&live, |new| new.set_at(&["data", "k"], "2"), &by("bob", "t2"));
    assert_eq!(
        owners(&changed),
        [r#"alice/@t1={"f:data":{".":{},"f:l":{}}}"#, r#"bob/@t2={"f:data":{"f:k":{}}}"#]
    );
    // What goes is taken from everyone; who loses all is gone.
    let removed = world.write(
        &changed,
        |new| _ = new.get_mut("data").and_then(|data| data.remove("k")),
        &by("alice", "t3"),
    );
    assert_eq!(owners(&removed), [r#"alice/@t1={"f:data":{".":{},"f:l":{}}}"#]);
    // A write that changes nothing changes nothing.
    assert_eq!(world.write(&changed, |_| {}, &by("carol", "t4")), changed);
    // The own entry grows and takes the time of the change.
    let more = world.write(&changed, |new| new.set_at(&["data", "m"], "1"), &by("bob", "t5"));
    assert_eq!(owners(&more)[1], r#"bob/@t5={"f:data":{"f:k":{},"f:m":{}}}"#);
}

#[test]
fn items_of_lists_are_owned_apart() {
    let world = World::new();
    let live = world.create(thing(), &by("alice", "t1"));
    let changed = world.write(
        &live,
        |new| {
            new.set_at(&["spec", "items"], vec![value!({"name": "j"}), value!({"name": "i", "value": "2"})])
        },
        &by("bob", "t2"),
    );
    assert_eq!(
        owners(&changed)[1],
        r#"bob/@t2={"f:spec":{"f:items":{"k:{\"name\":\"i\"}":{"f:value":{}},"k:{\"name\":\"j\"}":{".":{},"f:name":{}}}}}"#
    );
    assert!(owners(&changed)[0].contains(r#""k:{\"name\":\"i\"}":{".":{},"f:name":{}}"#));
    // An order of its own is no change, but of an atomic list.
    let live = changed;
    let turned = world.write(
        &live,
        |new| {
            if let Some(items) =
                new.get_mut("spec").and_then(|spec| spec.get_mut("items")).and_then(Value::as_array_mut)
            {
                items.reverse()
            }
        },
        &by("carol", "t3"),
    );
    assert_eq!(owners(&turned), owners(&live));
}

#[test]
fn reset_fields_and_subresources() {
    let world = World::new();
    let live = world.create(thing(), &by("alice", "t1"));
    let reset_status = Set::of_fields(&[&["status"]]);
    let main = Write { reset: &reset_status, ..by("bob", "t2") };
    let same = world.write(&live, |new| new.set_at(&["status", "phase"], "Odd"), &main);
    assert_eq!(owners(&same), owners(&live));
    let reset_spec = Set::of_fields(&[&["spec"], &["metadata", "labels"]]);
    let status = Write { subresource: "status", reset: &reset_spec, ..by("bob", "t3") };
    let changed = world.write(
        &live,
        |new| {
            new.set_at(&["status", "phase"], "Running");
            new.set_at(&["spec", "count"], 2);
            new.set_at(&["metadata", "labels", "m"], "x");
            new.entry("metadata").set("managedFields", vec![value!({})]);
        },
        &status,
    );
    assert_eq!(owners(&changed)[1..], [r#"bob/status@t3={"f:status":{"f:phase":{}}}"#]);
}

#[test]
fn resets_and_given_entries() {
    let world = World::new();
    let live = world.create(thing(), &by("alice", "t1"));
    let forgotten = world.write(
        &live,
        |new| new.entry("metadata").set("managedFields", vec![value!({})]),
        &by("bob", "t2"),
    );
    assert!(forgotten["metadata"]["managedFields"].is_null());
    let forgotten =
        world.write(&live, |new| new.entry("metadata").set("managedFields", value!([])), &by("bob", "t2"));
    assert!(forgotten["metadata"]["managedFields"].is_null());
    // What has no owners gets none.
    let untracked = world.write(&forgotten, |new| new.set_at(&["data", "k"], "1"), &by("bob", "t3"));
    assert!(untracked["metadata"]["managedFields"].is_null());
    // Clients that do not know the field, or write nonsense, lose nothing.
    for given in [
        Value::Null,
        value!([{"manager": "x", "operation": "Odd"}]),
        value!([{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"bad": 1}}]),
    ] {
        let kept =
            world.write(&live, |new| new.entry("metadata").set("managedFields", given), &by("bob", "t2"));
        assert_eq!(owners(&kept), owners(&live));
    }
    let given = value!([{"manager": "given", "operation": "Apply", "apiVersion": "g/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:k": {}}}}]);
    let taken =
        world.write(&live, |new| new.entry("metadata").set("managedFields", given.clone()), &by("bob", "t2"));
    assert_eq!(taken["metadata"]["managedFields"], given);
}

#[test]
fn the_oldest_of_many_updaters_are_merged() {
    let world = World::new();
    let mut live = world.create(
        value!({"metadata": {"name": "a"}, "spec": {}, "status": {}, "data": {"m00": "1"}}),
        &by("m00", "t00"),
    );
    for at in 1..13 {
        let (manager, time) = (format!("m{at:02}"), format!("t{at:02}"));
        let key = manager.clone();
        live =
            world.write(&live, |new| new.get_mut("data").expect("data").set(key, "1"), &by(&manager, &time));
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        r#"ancient-changes/@t03={"f:data":{".":{},"f:m00":{},"f:m01":{},"f:m02":{},"f:m03":{}}}"#
    );
    assert!(owners[9].starts_with("m12/@t12"));
}

#[test]
fn duplicate_items_are_owned_together() {
    let world = World::new();
    let live = world.create(thing(), &by("alice", "t1"));
    let twice = world.write(
        &live,
        |new| {
            new.set_at(
                &["spec", "items"],
                vec![value!({"name": "i", "value": "1"}), value!({"name": "i", "value": "2"})],
            )
        },
        &by("bob", "t2"),
    );
    assert_eq!(owners(&twice)[1], r#"bob/@t2={"f:spec":{"f:items":{"k:{\"name\":\"i\"}":{}}}}"#);
}

#[test]
fn a_configuration_is_laid_over_without_owners() {
    let world = World::new();
    let live = value!({
        "metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["f"]},
        "spec": {"items": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}], "plain": ["p"], "count": 1},
    });
    let cases = [
        (
            value!({"metadata": {"labels": {"y": "2"}, "finalizers": ["g"]},
                    "spec": {"items": [{"name": "two", "value": "3"}, {"name": "three"}]}}),
            Ok(value!({
                "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}, "finalizers": ["f", "g"]},
                "spec": {"items": [{"name": "one", "value": "1"}, {"name": "two", "value": "3"}, {"name": "three"}],
                         "plain": ["p"], "count": 1},
            })),
        ),
        (
            value!({"spec": {"count": 2, "plain": ["q"]}}),
            Err("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.plain"),
        ),
        (
            value!({"spec": {"count": "many"}}),
            Err(
                "failed to convert patch object to typed object: .spec.count: expected numeric (int or float), got string",
            ),
        ),
        (
            value!({"spec": {"other": 1}}),
            Err("failed to convert patch object to typed object: .spec.other: field not declared in schema"),
        ),
    ];
    for (config, wanted) in cases {
        assert_eq!(overlay(world.shape(), &live, &config), wanted.map_err(str::to_owned), "{config:?}");
    }
}

fn things() -> impl Strategy<Value = Value> {
    let text = || proptest::option::of(0..3_i64);
    (
        proptest::collection::btree_map("[abc]", 0..3_i64, 0..4),
        proptest::collection::btree_map("[ijk]", 0..3_i64, 0..4),
        text(),
        text(),
        proptest::collection::btree_set("[xyz]", 0..3),
    )
        .prop_map(|(data, items, count, plain, finalizers)| {
            let mut object = value!({"metadata": {"name": "a", "uid": "u"}, "spec": {}, "status": {}});
            if !finalizers.is_empty() {
                let list: Vec<Value> = finalizers.into_iter().map(Value::from).collect();
                object.set_at(&["metadata", "finalizers"], list);
            }
            if !items.is_empty() {
                let list: Vec<Value> = items
                    .into_iter()
                    .map(|(name, value)| value!({"name": name, "value": (value.to_string())}))
                    .collect();
                object.set_at(&["spec", "items"], list);
            }
            if let Some(plain) = plain {
                object.set_at(&["spec", "plain"], vec![Value::from(plain.to_string())]);
            }
            if let Some(count) = count {
                object.set_at(&["spec", "count"], count);
            }
            for (key, value) in data {
                object.entry("data").set(key, value.to_string());
            }
            object
        })
}

proptest! {
    #[test]
    fn who_did_not_lose_a_field_keeps_it(first in things(), second in things()) {
        let world = World::new();
        let mut start = first.clone();
        start.get_mut("metadata").expect("metadata").remove("uid");
        let live = world.create(start, &by("alice", "t1"));
        let managed = live["metadata"]["managedFields"].clone();
        let mut new = second.clone();
        new.set_at(&["metadata", "managedFields"], managed.clone());
        update(&world.versions(), &live, &mut new, &by("bob", "t2"));

        let set = |object: &Value, manager: &str| {
            object["metadata"]["managedFields"].items().iter().find(|entry| entry["manager"].text() == manager)
                .and_then(|entry| Set::from_fields_v1(&entry["fieldsV1"])).unwrap_or_default()
        };
        let before = set(&live, "alice");
        if before.is_empty() {
            // Untracked: nobody owns anything then either.
            prop_assert!(new["metadata"]["managedFields"].is_null());
            return Ok(());
        }
        let Comparison { changed, removed } = compare(world.shape(), &first, &second).expect("comparable");
        // Alice owns what she did, but what changed or went; Bob what changed.
        let mut expected = before;
        expected.subtract(&changed);
        expected.subtract(&removed);
        prop_assert_eq!(set(&new, "alice"), expected);
        prop_assert_eq!(set(&new, "bob"), changed);
    }

    #[test]
    fn comparisons_mirror(first in things(), second in things()) {
        let world = World::new();
        let there = compare(world.shape(), &first, &second).expect("comparable");
        let back = compare(world.shape(), &second, &first).expect("comparable");
        // What goes on one way comes on the other.
        prop_assert!(back.changed.intersection(&there.removed) == there.removed);
        prop_assert!(!there.changed.intersects(&there.removed));
        prop_assert_eq!(there.changed.is_empty() && there.removed.is_empty(), first == second);
    }
}
