//! Strategic merge by table, on types made up for it.

use super::*;
use crate::value;

const FACTS: &str = "\
K\tg\tv1\tThing\tapi/g/v1.Thing
S\tapi/g/v1.Thing
F\tmetadata\tapi/g/v1.Meta\t1\te
F\tspec\tapi/g/v1.Spec\t2\te
S\tapi/g/v1.Meta
F\tlabels\tmap[string]string\t1\te
F\tfinalizers\t[]string\t2\te\tp=merge
S\tapi/g/v1.Spec
F\titems\t[]api/g/v1.Item\t1\te\tp=merge\tk=name\tl=map:name
F\tplain\t[]api/g/v1.Item\t2\te
F\tstrategy\tapi/g/v1.Strategy\t3\te\tp=retainKeys
F\traw\tapimachinery/pkg/runtime.RawExtension\t4\te
S\tapi/g/v1.Item
F\tname\tstring\t1\te
F\tvalue\tstring\t2\te
F\tports\t[]api/g/v1.Port\t3\te\tp=merge\tk=port
S\tapi/g/v1.Port
F\tport\tint32\t1\te
F\tname\tstring\t2\te
S\tapi/g/v1.Strategy
F\ttype\tstring\t1\te
F\tstep\tapi/g/v1.Item\t2\te
S\tapimachinery/pkg/runtime.RawExtension
";

fn patched(object: Value, patch: Value) -> Result<Value, Error> {
    let types = Types::load(FACTS).expect("the facts of this test");
    let kind = types.kind("g", "v1", "Thing").expect("the kind of this test");
    apply(&types, kind, object, patch)
}

fn spec(object: Value, patch: Value) -> Result<Value, Error> {
    patched(value!({"spec": object}), value!({"spec": patch}))
        .map(|mut thing| thing.remove("spec").unwrap_or_default())
}

#[test]
fn lists_of_objects_merge_by_key() {
    let object = || value!({"items": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
    let cases = [
        // A known item merges and comes as the patch orders it; a new one is added.
        (
            value!({"items": [{"name": "b", "value": "3"}]}),
            value!({"items": [{"name": "a", "value": "1"}, {"name": "b", "value": "3"}]}),
        ),
        (
            value!({"items": [{"name": "c"}]}),
            value!({"items": [{"name": "c"}, {"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}),
        ),
        (
            value!({"items": [{"$patch": "delete", "name": "a"}]}),
            value!({"items": [{"name": "b", "value": "2"}]}),
        ),
        (value!({"items": [{"name": "z"}, {"$patch": "replace"}]}), value!({"items": [{"name": "z"}]})),
        (value!({"items": null}), value!({})),
        (
            value!({"items": [{"name": "a", "value": null}]}),
            value!({"items": [{"name": "a"}, {"name": "b", "value": "2"}]}),
        ),
        (
            value!({"$setElementOrder/items": [{"name": "b"}, {"name": "a"}], "items": [{"name": "a", "value": "9"}]}),
            value!({"items": [{"name": "b", "value": "2"}, {"name": "a", "value": "9"}]}),
        ),
        (
            value!({"$setElementOrder/items": [{"name": "b"}, {"name": "a"}]}),
            value!({"items": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]}),
        ),
        (value!({"$patch": "replace", "plain": [{"name": "x"}]}), value!({"plain": [{"name": "x"}]})),
        (value!({"$patch": "delete"}), value!({})),
    ];
    for (patch, expected) in cases {
        assert_eq!(spec(object(), patch.clone()), Ok(expected), "{patch:?}");
    }
}

#[test]
fn nested_lists_merge_by_their_own_keys() {
    assert_eq!(
        spec(
            value!({"items": [{"name": "a", "ports": [{"port": 80, "name": "web"}, {"port": 443}]}]}),
            value!({"items": [{"name": "a", "ports": [{"port": 443, "name": "tls"}]}]}),
        ),
        Ok(
            value!({"items": [{"name": "a", "ports": [{"port": 80, "name": "web"}, {"port": 443, "name": "tls"}]}]})
        )
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    assert_eq!(
        spec(value!({"plain": [{"name": "a"}, {"name": "b"}]}), value!({"plain": [{"name": "c"}]})),
        Ok(value!({"plain": [{"name": "c"}]}))
    );
}

#[test]
fn scalars_merge_as_sets() {
    let object = || value!({"metadata": {"finalizers": ["a", "b"]}});
    let finalizers = |patch: Value| {
        patched(object(), value!({"metadata": patch})).map(|thing| {
            thing["metadata"]["finalizers"]
                .items()
                .iter()
                .map(|item| item.text().to_owned())
                .collect::<Vec<_>>()
                .join(",")
        })
    };
    assert_eq!(finalizers(value!({"finalizers": ["c"]})), Ok("c,a,b".into()));
    assert_eq!(finalizers(value!({"finalizers": ["b", "b"]})), Ok("a,b".into()));
    assert_eq!(finalizers(value!({"$deleteFromPrimitiveList/finalizers": ["a", "x"]})), Ok("b".into()));
    assert_eq!(
        finalizers(value!({"$setElementOrder/finalizers": ["b", "c", "a"], "finalizers": ["c"]})),
        Ok("b,c,a".into())
    );
    assert_eq!(finalizers(value!({"$deleteFromPrimitiveList/labels": ["a"]})), Ok("a,b".into()));
}

#[test]
fn retain_keys_clears_the_rest() {
    assert_eq!(
        spec(
            value!({"strategy": {"type": "A", "step": {"name": "x"}}}),
            value!({"strategy": {"$retainKeys": ["type"], "type": "B", "step": null}}),
        ),
        Ok(value!({"strategy": {"type": "B"}}))
    );
}

#[test]
fn values_that_meet_nothing_lose_nulls_and_what_is_patched() {
    assert_eq!(
        patched(
            value!({}),
            value!({"metadata": {"labels": {"a": null, "b": "c"}},
                "spec": {"strategy": {"$retainKeys": ["type"], "type": "A"},
                    "items": [{"name": "x", "value": null}, {"name": "y", "$patch": "delete"}],
                    "$setElementOrder/items": [{"name": "x"}]}}),
        ),
        Ok(value!({"metadata": {"labels": {"b": "c"}},
            "spec": {"strategy": {"$retainKeys": ["type"], "type": "A"}, "items": [{"name": "x"}],
                "$setElementOrder/items": [{"name": "x"}]}}))
    );
    // An object that is a directive itself is not there at all, whatever it says.
    for directive in ["delete", "replace", "odd"] {
        let patch = value!({"spec": {"strategy": {"$patch": (directive), "type": "A"}}});
        assert_eq!(patched(value!({}), patch), Ok(value!({"spec": {}})), "{directive}");
    }
    // An item that is new in a list stays as it was sent.
    assert_eq!(
        spec(value!({"items": [{"name": "a"}]}), value!({"items": [{"name": "b", "value": null}]})),
        Ok(value!({"items": [{"name": "b", "value": null}, {"name": "a"}]}))
    );
}

#[test]
fn items_without_a_place_come_backwards() {
    let object = value!({"items": [{"name": "a"}]});
    let patch = value!({"$setElementOrder/items": [], "items": [{"name": "b"}, {"name": "c"}]});
    assert_eq!(spec(object, patch), Ok(value!({"items": [{"name": "a"}, {"name": "c"}, {"name": "b"}]})));
}

#[test]
fn errors_are_upstreams() {
    let object = || value!({"items": [{"name": "a"}], "strategy": {"type": "A"}, "raw": {"x": {"y": 1}}});
    for (patch, code, message) in [
        (
            value!({"items": [{"value": "x"}]}),
            500,
            "map: map[value:x] does not contain declared merge key: name",
        ),
        (
            value!({"items": [{"$patch": "delete"}]}),
            500,
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            value!({"items": [{"name": "a", "$patch": "odd"}]}),
            500,
            "unknown patch type: odd in map: map[$patch:odd name:a]",
        ),
        (
            value!({"items": [{"name": "a", "$patch": "merge"}]}),
            500,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            value!({"items": [{"name": "b"}, null]}),
            500,
            "list element types are not identical: [[map[name:a]] [map[name:b] <nil>]]",
        ),
        (
            value!({"strategy": {"$retainKeys": ["type"], "step": {}}}),
            400,
            "invalid patch format of retainKeys",
        ),
        (value!({"strategy": {"$retainKeys": "type"}}), 400, "invalid patch format of retainKeys"),
        (
            value!({"$setElementOrder/items": {}}),
            500,
            "expected a []interface {}, but received a map[string]interface {}",
        ),
        (
            value!({"$setElementOrder/items": null}),
            500,
            "expected a []interface {}, but received a %!s(<nil>)",
        ),
        (
            value!({"$setElementOrder/items": [{"name": "a"}], "items": null}),
            500,
            "expected a []interface {}, but received a %!s(<nil>)",
        ),
        (value!({"$setElementOrder/items": ["a"]}), 500, "value for key 0 is not a map"),
        (value!({"$setElementOrder": ["a"]}), 400, "invalid patch format of setElementOrder list"),
        (value!({"$setElementOrder/plain": [], "plain": []}), 500, "no elements in any of the given slices"),
        (
            value!({"$setElementOrder/metadata": []}),
            500,
            "unable to find api field in struct Spec for the json field \"metadata\"",
        ),
        (value!({"strategy": {"$patch": 5}}), 500, "unknown patch type: %!s(int64=5) in map: map[$patch:5]"),
        (
            value!({"strategy": {"$patch": {"a": null, "b": "c"}}}),
            500,
            "unknown patch type: map[a:%!s(<nil>) b:c] in map: map[$patch:map[a:<nil> b:c]]",
        ),
        (value!({"$deleteFromPrimitiveList": ["x"]}), 400, "invalid patch format of primitive list"),
        (
            value!({"$setElementOrder/items": [{"name": "b"}], "items": [{"name": "a"}]}),
            500,
            "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
        (
            value!({"raw": {"x": {"y": 2}}}),
            500,
            "unable to find api field in struct RawExtension for the json field \"x\"",
        ),
    ] {
        let status = spec(object(), patch.clone()).expect_err("refused").status();
        assert_eq!((status.code, status.message.as_str()), (code, message), "{patch:?}");
    }
    for (body, message) in [
        ("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("{", "invalid JSON patch"),
    ] {
        assert_eq!(parse(body.as_bytes()).expect_err(body).to_string(), message);
    }
}
