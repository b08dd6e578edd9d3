//! Apply by table and by property, on types made up for it.

use proptest::prelude::*;

use super::super::{Single, compare, update};
use super::*;
use crate::schema::{Strictness, Type, Types, normalize, zero};
use crate::value;

const FACTS: &str = "\
K\tg\tv1\tThing\tapi/g/v1.Thing
S\tapi/g/v1.Thing
F\tkind\tstring\t0\te
F\tapiVersion\tstring\t0\te
F\tmetadata\tapi/g/v1.Meta\t1\te
F\tspec\tapi/g/v1.Spec\t2\te
F\tstatus\tapi/g/v1.Status\t3\te
F\tdata\tmap[string]string\t4\te
S\tapi/g/v1.Meta
F\tname\tstring\t1\te
F\tnamespace\tstring\t2\te
F\tuid\tstring\t3\te
F\tlabels\tmap[string]string\t4\te
F\tannotations\tmap[string]string\t5\te
F\tfinalizers\t[]string\t6\te\tl=set
F\tmanagedFields\t[]api/g/v1.Entry\t7\te
S\tapi/g/v1.Entry
F\tmanager\tstring\t1\te
F\toperation\tstring\t2\te
F\tapiVersion\tstring\t3\te
F\ttime\tapimachinery/pkg/apis/meta/v1.Time\t4\te
F\tfieldsType\tstring\t5\te
F\tfieldsV1\t*apimachinery/pkg/apis/meta/v1.FieldsV1\t6\te
F\tsubresource\tstring\t7\te
S\tapi/g/v1.Spec
F\titems\t[]api/g/v1.Item\t1\te\tl=map:name
F\tports\t[]api/g/v1.Port\t2\te\tl=map:port,protocol
F\tplain\t[]string\t3\te
F\tcount\t*int32\t4\te
F\ton\tbool\t5\te
S\tapi/g/v1.Item
F\tname\tstring\t1\t
F\tvalue\tstring\t2\te
F\tother\tstring\t3\te
S\tapi/g/v1.Port
F\tport\tint32\t1\t
F\tprotocol\tstring\t2\te
F\tname\tstring\t3\te
S\tapi/g/v1.Status
F\tphase\tstring\t1\te
S\tapimachinery/pkg/apis/meta/v1.Time
S\tapimachinery/pkg/apis/meta/v1.FieldsV1
";

static STATUS: std::sync::LazyLock<Set> = std::sync::LazyLock::new(|| Set::of_fields(&[&["status"]]));

struct World {
    types: Types,
}

impl World {
    fn new() -> Self {
        World { types: Types::load(FACTS).expect("the facts of this test") }
    }

    fn kind(&self) -> crate::schema::TypeId {
        self.types.kind("g", "v1", "Thing").expect("the kind of this test")
    }

    fn versions(&self) -> Single<'_> {
        Single { api_version: "g/v1", shape: Shape::of(&self.types, self.kind()) }
    }

    fn empty(&self) -> Value {
        let mut zero = zero(&self.types, Type::Struct(self.kind()));
        zero.set("kind", "Thing");
        zero.set("apiVersion", "g/v1");
        normalize(&self.types, self.kind(), &mut zero, Strictness::Ignore).expect("canonical");
        zero
    }

    fn canonical(&self, mut object: Value) -> Value {
        normalize(&self.types, self.kind(), &mut object, Strictness::Ignore).expect("canonical");
        object
    }

    fn apply(&self, live: &Value, manager: &str, body: Value, force: bool) -> Result<Value, Status> {
        let mut config = value!({"apiVersion": "g/v1", "kind": "Thing"});
        for (name, member) in body.members() {
            config.set(name.to_owned(), member.clone());
        }
        let request = Apply { config: &config, force, empty: &self.empty() };
        let applied = apply(&self.versions(), live, request, &by(manager, "t2"))?;
        let mut object = self.canonical(applied.object);
        if meta::uid(&object).is_empty() {
            object.set_at(&["metadata", "uid"], "u");
        }
        Ok(self.canonical(object))
    }

    fn write(&self, live: &Value, manager: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut new = live.clone();
        change(&mut new);
        let mut new = self.canonical(new);
        update(&self.versions(), live, &mut new, &by(manager, "t3"));
        self.canonical(new)
    }
}

fn by<'a>(manager: &'a str, time: &'a str) -> Write<'a> {
    let time = match time {
        "t2" => "2026-01-01T00:00:02Z",
        _ => "2026-01-01T00:00:03Z",
    };
    Write { manager, api_version: "g/v1", subresource: "", time, reset: &STATUS }
}

/// `manager=fields`, `~` behind the name where the entry has no time.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].items().iter();
    entries
        .map(|entry| {
            let mark = if entry["time"].is_null() { "~" } else { "" };
            format!("{}{mark}={}", entry["manager"].text(), crate::json::to_string(&entry["fieldsV1"]))
        })
        .collect()
}

#[test]
fn what_is_applied_is_owned_and_goes_when_it_is_not() {
    let world = World::new();
    let body = value!({"metadata": {"name": "a", "labels": {"l": "x"}}, "data": {"k": "v"}, "status": {"phase": "x"}});
    let made = world.apply(&world.empty(), "one", body, false).expect("applied");
    assert_eq!(owners(&made), [r#"one={"f:data":{"f:k":{}},"f:metadata":{"f:labels":{"f:l":{}}}}"#]);
    let less = world.apply(&made, "one", value!({"metadata": {"name": "a"}, "data": {"k": "w"}}), false);
    let less = less.expect("applied");
    assert_eq!(owners(&less), [r#"one={"f:data":{"f:k":{}}}"#]);
    assert!(less["metadata"]["labels"].is_null());
    assert_eq!(less["data"]["k"].text(), "w");
    let none = world.apply(&less, "one", value!({"metadata": {"name": "a"}}), false).expect("applied");
    assert_eq!(owners(&none), Vec::<String>::new());
    assert!(none["data"].is_null());
}

#[test]
fn conflicts_are_told_owner_by_owner() {
    let world = World::new();
    let start = value!({"metadata": {"name": "a"}, "data": {"k": "1", "l": "1"},
        "spec": {"items": [{"name": "i", "value": "1"}], "ports": [{"port": 80}]}});
    let live = world.apply(&world.empty(), "one", start, false).expect("applied");
    let live = world.write(&live, "two", |new| new.set_at(&["data", "m"], "1"));

    let refused = world.apply(&live, "three", value!({"data": {"k": "2"}}), false).expect_err("a conflict");
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    assert_eq!((refused.code, refused.reason), (409, "Conflict"));
    let body = value!({"data": {"k": "2", "m": "2"}, "spec": {"items": [{"name": "i", "value": "2"}],
        "ports": [{"port": 80, "name": "w"}]}});
    let refused = world.apply(&live, "three", body.clone(), false).expect_err("conflicts");
    assert_eq!(
        refused.message,
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .data.k\n- .spec.items[name=\"i\"].value\n\
         conflicts with \"two\" using g/v1:\n- .data.m"
    );
    let forced = world.apply(&live, "three", body, true).expect("forced");
    assert_eq!(
        owners(&forced),
        [
            r#"one={"f:data":{"f:l":{}},"f:spec":{"f:items":{"k:{\"name\":\"i\"}":{".":{},"f:name":{}}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}"#,
            r#"three={"f:data":{"f:k":{},"f:m":{}},"f:spec":{"f:items":{"k:{\"name\":\"i\"}":{".":{},"f:name":{},"f:value":{}}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}}"#,
        ]
    );
}

#[test]
fn the_same_value_is_shared() {
    let world = World::new();
    let live = world.apply(&world.empty(), "one", value!({"data": {"k": "1", "own": "x"}}), false);
    let live = live.expect("applied");
    let shared = world.apply(&live, "two", value!({"data": {"k": "1"}}), false).expect("no conflict");
    // Nothing but ownership changed: the new owner has no time.
    assert_eq!(owners(&shared)[0], r#"two~={"f:data":{"f:k":{}}}"#);
    let left = world.apply(&shared, "one", value!({"data": {"own": "x"}}), false).expect("applied");
    assert_eq!(left["data"]["k"].text(), "1");
    let gone = world.apply(&left, "two", value!({"data": {}}), false).expect("applied");
    assert!(gone["data"]["k"].is_null());
    assert_eq!(gone["data"]["own"].text(), "x");
}

#[test]
fn an_empty_list_that_nobody_keeps_is_a_claim() {
    let world = World::new();
    let empty = || value!({"spec": {"plain": []}});
    let live = world.apply(&world.empty(), "one", empty(), false).expect("applied");
    assert!(live["spec"]["plain"].is_null());
    let refused = world.apply(&live, "two", empty(), false).expect_err("a conflict");
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.plain");
    let forced = world.apply(&live, "two", empty(), true).expect("forced");
    assert_eq!(owners(&forced), [r#"two={"f:spec":{"f:plain":{}}}"#]);
    assert!(world.apply(&live, "one", empty(), false).is_ok());
}

#[test]
fn what_others_set_beside_it_stays() {
    let world = World::new();
    let start = value!({"spec": {"items": [{"name": "i", "value": "1"}, {"name": "j"}], "count": 1}});
    let live = world.apply(&world.empty(), "one", start, false).expect("applied");
    let live = world.write(&live, "two", |new| {
        let items =
            value!([{"name": "i", "value": "1", "other": "2"}, {"name": "j", "other": "2"}, {"name": "k"}]);
        new.set_at(&["spec", "items"], items);
    });
    // `j` keeps what the other one set; `i` goes with it, since only the applier
    // owned the item itself.
    let less =
        world.apply(&live, "one", value!({"spec": {"items": [{"name": "j"}]}}), false).expect("applied");
    assert_eq!(less["spec"]["items"], value!([{"name": "j", "other": "2"}, {"name": "k"}]));
    assert!(less["spec"]["count"].is_null());
}

#[test]
fn lists_keep_the_order_of_both() {
    let world = World::new();
    let named = |names: &str| -> Value {
        names.chars().map(|name| value!({"name": (name.to_string())})).collect::<Vec<_>>().into()
    };
    for (live, config, merged) in [
        ("", "ab", "ab"),
        ("ab", "", "ab"),
        ("ab", "c", "abc"),
        ("ab", "ba", "ba"),
        ("abc", "ca", "bca"),
        ("axb", "ba", "xba"),
        ("ab", "acb", "acb"),
        ("xab", "ab", "xab"),
    ] {
        let live = value!({"spec": {"items": (named(live))}});
        let config = value!({"spec": {"items": (named(config))}});
        let made = merge(world.versions().shape, &live, &config).expect("merged");
        let names: String = made["spec"]["items"].items().iter().map(|item| item["name"].text()).collect();
        assert_eq!(names, merged, "{live:?} {config:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let world = World::new();
    for (body, why) in [
        (value!({"bogus": 1}), ".bogus: field not declared in schema"),
        (value!({"data": {"k": 1}}), ".data.k: expected string, got &value.valueUnstructured{Value:1}"),
        (
            value!({"data": {"k": {"a": ["x", true]}}}),
            ".data.k: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":[]interface {}{\"x\", true}}}",
        ),
        (value!({"spec": {"count": "x"}}), ".spec.count: expected numeric (int or float), got string"),
        (value!({"spec": {"on": "x"}}), ".spec.on: expected boolean, got &{x}"),
        (value!({"spec": ["x"]}), ".spec: expected map, got &{[x]}"),
        (value!({"spec": {"plain": {"a": 1}}}), ".spec.plain: expected list, got &{map[a:1]}"),
        (
            value!({"spec": {"plain": ["a", 1]}}),
            ".spec.plain[1]: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            value!({"spec": {"items": [{"name": "a"}, {"name": "a"}]}}),
            ".spec.items: duplicate entries for key [name=\"a\"]",
        ),
        (
            value!({"spec": {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}}),
            ".spec.ports: duplicate entries for key [port=1,protocol=\"TCP\"]",
        ),
        (
            value!({"spec": {"items": [null]}}),
            ".spec.items: element 0: associative list with keys may not have a null element",
        ),
        (
            value!({"metadata": {"finalizers": ["x", "x"]}}),
            ".metadata.finalizers: duplicate entries for key [=\"x\"]",
        ),
        (
            value!({"spec": {"count": "x", "on": 1}}),
            "errors:\n  .spec.count: expected numeric (int or float), got string\n  .spec.on: expected boolean, got &{1}",
        ),
    ] {
        let refused = world.apply(&world.empty(), "one", body, true).expect_err(why);
        let message = format!("failed to create typed patch object (/; g/v1, Kind=Thing): {why}");
        assert_eq!((refused.code, refused.message.as_str()), (500, message.as_str()));
    }
    // A key that is always written has a default: no item is without a name.
    assert!(world.apply(&world.empty(), "one", value!({"spec": {"items": [{"value": "x"}]}}), true).is_ok());

    let empty = world.empty();
    let refuse = |config: Value| {
        let request = Apply { config: &config, force: true, empty: &empty };
        apply(&world.versions(), &empty, request, &by("one", "t2")).expect_err("refused").message
    };
    assert_eq!(refuse(value!({"kind": "Thing"})), "invalid object type: /, Kind=Thing");
    assert_eq!(refuse(value!({"apiVersion": "v1", "kind": "B"})), "invalid object type: /v1, Kind=B");
    assert_eq!(
        refuse(value!({"apiVersion": "g/v1", "kind": "Thing", "metadata": {"managedFields": []}})),
        "metadata.managedFields must be nil"
    );
}

#[test]
fn objects_without_owners_get_one_first() {
    let world = World::new();
    let live = world
        .canonical(value!({"kind": "Thing", "apiVersion": "g/v1", "metadata": {"name": "a", "uid": "u"},
        "data": {"k": "1", "l": "1"}}));
    let refused = world.apply(&live, "one", value!({"data": {"k": "2"}}), false).expect_err("a conflict");
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using g/v1: .data.k"
    );
    let shared = world.apply(&live, "one", value!({"data": {"k": "1", "m": "1"}}), false).expect("applied");
    assert_eq!(
        owners(&shared),
        [
            r#"one={"f:data":{"f:k":{},"f:m":{}}}"#,
            r#"before-first-apply={"f:data":{".":{},"f:k":{},"f:l":{}}}"#
        ]
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_by_itself() {
    let world = World::new();
    let last = r#"{"apiVersion":"g/v1","kind":"Thing","data":{"k":"1","old":"x","edited":"1"}}"#;
    let start = world.canonical(value!({"kind": "Thing", "apiVersion": "g/v1", "metadata": {"name": "a",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}},
        "data": {"k": "1", "old": "x", "edited": "2"}}));
    let mut live = start.clone();
    update(&world.versions(), &world.empty(), &mut live, &by("client", "t2"));
    live.set_at(&["metadata", "uid"], "u");

    assert!(world.apply(&live, "other", value!({"data": {"k": "2"}}), false).is_err());
    let refused = world.apply(&live, "kubectl", value!({"data": {"k": "2", "edited": "3"}}), false);
    assert_eq!(
        refused.expect_err("a conflict").message,
        "Apply failed with 1 conflict: conflict with \"client\" using g/v1: .data.edited"
    );
    let taken = world.apply(&live, "kubectl", value!({"data": {"k": "2"}}), false).expect("taken");
    assert_eq!(
        taken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].text(),
        "{\"apiVersion\":\"g/v1\",\"data\":{\"k\":\"2\"},\"kind\":\"Thing\"}\n"
    );
    assert_eq!(owners(&taken)[0], r#"kubectl={"f:data":{"f:k":{}}}"#);
}

#[test]
fn a_schema_that_became_atomic_is_owned_whole() {
    let world = World::new();
    let set = |value: Value| Set::from_fields_v1(&value).expect("a set");
    let shape = world.versions().shape;
    let old = set(value!({"f:spec": {"f:plain": {".": {}, "v:\"a\"": {}}, "f:count": {}}}));
    assert_eq!(reconcile(shape, old), set(value!({"f:spec": {"f:plain": {}, "f:count": {}}})));
    let current = set(value!({"f:spec": {"f:items": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}}));
    assert_eq!(reconcile(shape, current.clone()), current);
}

/// What a manager may apply.
fn configs() -> impl Strategy<Value = Value> {
    (
        proptest::collection::btree_map("[abc]", 0..3_i64, 0..4),
        proptest::collection::btree_map("[ijk]", proptest::option::of(0..3_i64), 0..4),
        proptest::option::of(0..3_i64),
        proptest::collection::btree_set("[xyz]", 0..3),
        proptest::option::of(0..3_i64),
    )
        .prop_map(|(data, items, count, finalizers, plain)| {
            let mut object = value!({"metadata": {"name": "a"}});
            if !finalizers.is_empty() {
                let list: Vec<Value> = finalizers.into_iter().map(Value::from).collect();
                object.set_at(&["metadata", "finalizers"], list);
            }
            if !items.is_empty() {
                let item = |(name, value): (String, Option<i64>)| {
                    let mut item = value!({"name": name});
                    if let Some(value) = value {
                        item.set("value", value.to_string());
                    }
                    item
                };
                object.set_at(&["spec", "items"], items.into_iter().map(item).collect::<Vec<_>>());
            }
            if let Some(count) = count {
                object.set_at(&["spec", "count"], count);
            }
            if let Some(plain) = plain {
                object.set_at(&["spec", "plain"], vec![Value::from(plain.to_string())]);
            }
            for (key, value) in data {
                object.entry("data").set(key, value.to_string());
            }
            object
        })
}

fn set_of(object: &Value, manager: &str) -> Set {
    let entries = object["metadata"]["managedFields"].items();
    let entry = entries.iter().find(|entry| entry["manager"].text() == manager);
    entry.and_then(|entry| Set::from_fields_v1(&entry["fieldsV1"])).unwrap_or_default()
}

/// An object to which several have applied, with force.
fn histories() -> impl Strategy<Value = Vec<(usize, Value)>> {
    proptest::collection::vec((0..3_usize, configs()), 1..5)
}

const MANAGERS: [&str; 3] = ["one", "two", "three"];

fn play(world: &World, history: &[(usize, Value)]) -> Value {
    history.iter().fold(world.empty(), |live, (who, config)| {
        world.apply(&live, MANAGERS[*who], config.clone(), true).expect("forced")
    })
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(history in histories(), who in 0..3_usize, config in configs()) {
        let world = World::new();
        let live = play(&world, &history);
        let once = world.apply(&live, MANAGERS[who], config.clone(), true).expect("forced");
        // Without force, too: nobody is left to be in conflict with.
        let twice = world.apply(&once, MANAGERS[who], config, false).expect("no conflict");
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn what_is_applied_is_there(history in histories(), who in 0..3_usize, config in configs()) {
        let world = World::new();
        let live = play(&world, &history);
        let made = world.apply(&live, MANAGERS[who], config.clone(), true).expect("forced");
        let shape = world.versions().shape;
        let wanted = fields::of(shape, &config);
        let found = compare(shape, &config, &made).expect("comparable");
        prop_assert!(!found.changed.intersects(&wanted), "{:?}", found.changed.paths());
        prop_assert!(found.removed.intersection(&wanted).is_empty());
    }

    #[test]
    fn nobody_loses_a_field_but_by_force(history in histories(), who in 0..3_usize, config in configs()) {
        let world = World::new();
        let live = play(&world, &history);
        let outcome = world.apply(&live, MANAGERS[who], config.clone(), false);
        let forced = world.apply(&live, MANAGERS[who], config, true).expect("forced");
        let lost: Vec<&str> = MANAGERS
            .into_iter()
            .filter(|manager| *manager != MANAGERS[who])
            .filter(|manager| set_of(&live, manager) != set_of(&forced, manager))
            .collect();
        match outcome {
            // What goes through without force is what force does.
            Ok(made) => {
                prop_assert_eq!(&made, &forced);
                prop_assert!(lost.is_empty(), "{lost:?}");
            }
            Err(refused) => {
                let told: std::collections::BTreeSet<String> = refused.details.into_iter()
                    .flat_map(|details| details.causes).map(|cause| cause.message).collect();
                let lost: std::collections::BTreeSet<String> =
                    lost.into_iter().map(|manager| format!("conflict with {manager:?}")).collect();
                prop_assert_eq!(told, lost);
            }
        }
    }

    #[test]
    fn what_nobody_applies_any_more_is_gone(history in histories()) {
        let world = World::new();
        let mut live = play(&world, &history);
        for manager in MANAGERS {
            live = world.apply(&live, manager, value!({"metadata": {"name": "a"}}), false).expect("no conflict");
        }
        prop_assert_eq!(owners(&live), Vec::<String>::new());
        let shape = world.versions().shape;
        let mut left = fields::of(shape, &live);
        left.subtract(&fields::of(shape, &world.apply(&world.empty(), "x", value!({"metadata": {"name": "a"}}), false).expect("applied")));
        prop_assert!(left.is_empty(), "{:?}", left.paths());
    }
}
