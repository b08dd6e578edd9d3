//! The engine's rules on types made up for them; the built-in types are tried
//! in the crate `api`.

use super::*;
use crate::json::{self, DecodeError};
use crate::{Value, value};

const FACTS: &str = "\
K\tg\tv1\tThing\tapi/g/v1.Thing
S\tapi/g/v1.Thing
F\t\tapi/g/v1.Meta\t0
F\tspec\tapi/g/v1.Spec\t1\te
F\tdata\tmap[string]bytes\t2\te
S\tapi/g/v1.Meta
F\tkind\tstring\t1\te
S\tapi/g/v1.Spec
F\tcount\t*int32\t1\te
F\tsize\tint32\t2\te
F\tname\tstring\t3
F\titems\t[]api/g/v1.Item\t4\tr\tp=merge\tk=id\tl=map:id
F\tlimits\tmap[string]apimachinery/pkg/api/resource.Quantity\t5\te
F\twhen\tapimachinery/pkg/apis/meta/v1.Time\t6\te
F\tuntil\t*apimachinery/pkg/apis/meta/v1.Time\t7\te
F\tport\tapimachinery/pkg/util/intstr.IntOrString\t8\te
F\tsub\t*api/g/v1.Item\t9\te
F\ttags\t[]string\t10\te
F\traw\tapimachinery/pkg/runtime.RawExtension\t11\te
F\tmode\tstring\t12\te\tg=v1.Mode
F\twait\t*apimachinery/pkg/apis/meta/v1.Duration\t13\te
F\ttold\t[]string\t14\te\tn
F\tlevels\tmap[string]string\t15\te\tg=map[string]v1.Level
S\tapi/g/v1.Item
F\tid\tstring\t1\te
F\ton\tbool\t2\te
S\tapimachinery/pkg/apis/meta/v1.Time
S\tapimachinery/pkg/apis/meta/v1.Duration
S\tapimachinery/pkg/api/resource.Quantity
S\tapimachinery/pkg/util/intstr.IntOrString
S\tapimachinery/pkg/runtime.RawExtension
";

fn types() -> Types {
    Types::load(FACTS).unwrap()
}

fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let types = types();
    let thing = types.kind("g", "v1", "Thing").unwrap();
    let decoded = decode_json(&types, thing, text.as_bytes(), Strictness::Report);
    // Whatever decodes is a fixed point of decoding and of normalizing, and
    // the tree route agrees with the text route.
    if let Ok(decoded) = &decoded {
        let again =
            decode_json(&types, thing, json::to_string(&decoded.value).as_bytes(), Strictness::Report)
                .unwrap();
        assert_eq!(json::to_string(&again.value), json::to_string(&decoded.value));
        assert_eq!(again.problems, Vec::<String>::new());
        let mut tree = json::parse_ordered(text.as_bytes()).unwrap();
        normalize(&types, thing, &mut tree, Strictness::Ignore).unwrap();
        if decoded.problems.is_empty() {
            assert_eq!(json::to_string(&tree), json::to_string(&decoded.value), "{text}");
        }
    }
    decoded
}

/// The canonical text of a body.
fn canonical(text: &str) -> String {
    json::to_string(&decode(text).unwrap().value)
}

const ZERO_SPEC: &str = r#""name":"","items":null,"when":null,"port":0,"raw":null"#;

#[test]
fn members_come_in_gos_order_and_zero_values_by_gos_rules() {
    assert_eq!(canonical("{}"), format!(r#"{{"spec":{{{ZERO_SPEC}}}}}"#));
    assert_eq!(
        canonical(
            r#"{"spec":{"tags":["x"],"items":[{"on":true,"id":"a"}],"count":0,"size":0},"kind":"Thing"}"#
        ),
        r#"{"kind":"Thing","spec":{"count":0,"name":"","items":[{"id":"a","on":true}],"when":null,"port":0,"tags":["x"],"raw":null}}"#
    );
    // Empty and null lists and maps are nil, but an empty list stays apart where it is always
    // written; null items are zero values.
    assert_eq!(
        canonical(
            r#"{"data":{},"spec":{"items":[],"tags":[],"limits":{},"sub":null,"until":null,"count":null}}"#
        ),
        format!(r#"{{"spec":{{{}}}}}"#, ZERO_SPEC.replace(r#""items":null"#, r#""items":[]"#))
    );
    assert_eq!(
        canonical(
            r#"{"spec":{"items":[null],"tags":[null],"limits":{"a":null},"sub":{}},"data":{"b":null}}"#
        ),
        r#"{"spec":{"name":"","items":[{}],"limits":{"a":"0"},"when":null,"port":0,"sub":{},"tags":[""],"raw":null},"data":{"b":""}}"#
    );
}

#[test]
fn empty_lists_are_kept_apart_until_they_are_stored() {
    let types = types();
    let thing = types.kind("g", "v1", "Thing").unwrap();
    let mut object = decode(r#"{"spec":{"items":[],"tags":[],"told":[]}}"#).unwrap().value;
    assert_eq!(object["spec"]["items"], value!([]));
    assert_eq!(object["spec"]["told"], value!([]));
    assert!(object["spec"].as_object().unwrap().get("tags").is_none());
    normalize_stored(&types, thing, &mut object).unwrap();
    assert_eq!(json::to_string(&object), format!(r#"{{"spec":{{{ZERO_SPEC}}}}}"#));
}

#[test]
fn scalars_become_canonical() {
    assert_eq!(
        canonical(
            r#"{"spec":{"limits":{"z":1000,"a":"1000m","m":"1.5Gi"},"when":"2026-01-01T01:00:00.5+01:00","port":"http","wait":"90s"},"data":{"k":"YQ=="}}"#
        ),
        r#"{"spec":{"name":"","items":null,"limits":{"a":"1","m":"1536Mi","z":"1k"},"when":"2026-01-01T00:00:00Z","port":"http","raw":null,"wait":"1m30s"},"data":{"k":"YQ=="}}"#
    );
    let raw = r#"{"spec":{"raw":{"b":1,"a":[1.5,{"x":null}]}}}"#;
    assert!(canonical(raw).ends_with(r#""raw":{"b":1,"a":[1.5,{"x":null}]}}}"#));
}

#[test]
fn strict_problems_are_told_in_the_order_of_the_body() {
    let decoded = decode(
        r#"{"oops":{"a":1},"spec":{"items":[{"id":"a","ID":"b"}],"count":1,"limits":{"a":"1","a":"2"},"count":2},"Data":1,"oops":2}"#,
    )
    .unwrap();
    assert_eq!(
        decoded.problems,
        [
            r#"unknown field "oops""#,
            r#"unknown field "spec.items[0].ID""#,
            r#"duplicate field "spec.limits.a""#,
            r#"duplicate field "spec.count""#,
            r#"unknown field "Data""#,
        ]
    );
    assert_eq!(decoded.value["spec"]["count"], Value::Int(2));
    assert_eq!(decoded.value["spec"]["limits"], value!({"a": "2"}));
}

#[test]
fn duplicates_of_structs_are_read_into_each_other() {
    let decoded =
        decode(r#"{"spec":{"name":"a","size":1,"tags":["x"]},"spec":{"size":2,"tags":null,"name":null}}"#)
            .unwrap();
    assert_eq!(decoded.value["spec"]["name"].text(), "a");
    assert_eq!(decoded.value["spec"]["size"], Value::Int(2));
    assert!(decoded.value["spec"]["tags"].is_null());
    assert_eq!(decoded.problems, [r#"duplicate field "spec""#]);
}

#[test]
fn errors_are_gos() {
    let cannot = |kind: &str, place: &str, wanted: &str| {
        format!("json: cannot unmarshal {kind} into Go struct field {place} of type {wanted}")
    };
    for (text, error) in [
        (r#"{"spec":{"name":1}}"#, cannot("number", "Spec.spec.name", "string")),
        (r#"{"spec":{"count":"x"}}"#, cannot("string", "Spec.spec.count", "int32")),
        (r#"{"spec":{"count":1.5}}"#, cannot("number 1.5", "Spec.spec.count", "int32")),
        (r#"{"spec":{"count":2147483648}}"#, cannot("number 2147483648", "Spec.spec.count", "int32")),
        (r#"{"spec":{"items":{"id":"a"}}}"#, cannot("object", "Spec.spec.items", "[]v1.Item")),
        (r#"{"spec":{"items":["a"]}}"#, cannot("string", "Spec.spec.items", "v1.Item")),
        (r#"{"spec":{"items":[{"on":"yes"}]}}"#, cannot("string", "Item.spec.items.on", "bool")),
        (r#"{"spec":[]}"#, cannot("array", "Thing.spec", "v1.Spec")),
        (r#"{"kind":true}"#, cannot("bool", "Thing.Meta.kind", "string")),
        (r#"{"spec":{"levels":{"a":1}}}"#, cannot("number", "Spec.spec.levels", "v1.Level")),
        (r#"{"data":[]}"#, cannot("array", "Thing.data", "map[string][]uint8")),
        (r#"{"data":{"a":5}}"#, cannot("number", "Thing.data", "[]uint8")),
        (r#"{"spec":{"mode":5}}"#, cannot("number", "Spec.spec.mode", "v1.Mode")),
        (r#"{"spec":{"when":5}}"#, cannot("number", "Spec.spec.when", "string")),
        (r#"{"spec":{"port":true}}"#, cannot("bool", "Spec.spec.port", "int32")),
        ("[]", "json: cannot unmarshal array into Go value of type v1.Thing".into()),
        (r#"{"data":{"a":"YW!j"}}"#, "illegal base64 data at input byte 2".into()),
        (r#"{"spec":{"wait":null,"wait":""}}"#, r#"time: invalid duration """#.into()),
        // The first wrong type is told, but a text that its type refuses goes before, and syntax before all.
        (r#"{"spec":{"name":1,"count":"x"}}"#, cannot("number", "Spec.spec.name", "string")),
        (
            r#"{"spec":{"name":1,"when":"soon"}}"#,
            r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006""#.into(),
        ),
        (r#"{"spec":{"name":1,"when":"soon"}"#, "unexpected end of JSON input".into()),
    ] {
        assert_eq!(decode(text).unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn trees_are_refused_with_the_same_words() {
    let types = types();
    let thing = types.kind("g", "v1", "Thing").unwrap();
    for text in [
        r#"{"spec":{"name":1}}"#,
        r#"{"spec":{"count":1.5}}"#,
        r#"{"spec":{"count":2147483648}}"#,
        r#"{"spec":{"items":[{"on":"yes"}]}}"#,
        r#"{"spec":{"items":["a"]}}"#,
        r#"{"data":[]}"#,
        r#"{"data":{"a":5}}"#,
        r#"{"spec":{"when":5}}"#,
        r#"{"spec":{"port":1.5}}"#,
        r#"{"spec":{"limits":{"a":true}}}"#,
        r#"{"spec":{"limits":{"a":"1 Gi"}}}"#,
    ] {
        let mut tree = json::parse_ordered(text.as_bytes()).unwrap();
        let error = normalize(&types, thing, &mut tree, Strictness::Ignore).unwrap_err();
        assert_eq!(error, decode(text).unwrap_err(), "{text}");
    }
    let mut tree = value!({"spec": {"bad": 1, "items": [{"worse": 2}]}, "top": []});
    let problems = normalize(&types, thing, &mut tree, Strictness::Report).unwrap();
    assert_eq!(
        problems,
        [r#"unknown field "spec.bad""#, r#"unknown field "spec.items[0].worse""#, r#"unknown field "top""#]
    );
}

#[test]
fn defaults_are_set_where_the_parent_is() {
    let types = types();
    let thing = types.kind("g", "v1", "Thing").unwrap();
    let row = |path: &str, value: Value| DefaultRow { path: path.into(), value };
    let rows = [
        row(".spec.count", Value::Int(1)),
        row(".spec.name", "n".into()),
        row(".spec.items[].on", true.into()),
        row(".spec.sub.id", "s".into()),
        row(".spec.nothing", true.into()),
    ];
    let (defaults, unknown) = Defaults::compile(&types, thing, &rows);
    assert_eq!(unknown, [&rows[4]]);
    for (before, after) in [
        ("{}", r#"{"spec":{"count":1,"name":"n","items":null,"when":null,"port":0,"raw":null}}"#),
        (
            r#"{"spec":{"count":0,"name":"x","items":[{"id":"a"},{"on":true}],"sub":{}}}"#,
            r#"{"spec":{"count":0,"name":"x","items":[{"id":"a","on":true},{"on":true}],"when":null,"port":0,"sub":{"id":"s"},"raw":null}}"#,
        ),
    ] {
        let mut value = decode(before).unwrap().value;
        defaults.apply(&types, &mut value);
        assert_eq!(json::to_string(&value), after);
    }
}

#[test]
fn fields_carry_what_patches_need() {
    let types = types();
    let thing = types.kind_of("g/v1", "Thing").unwrap();
    let items = types.field_at(thing, &["spec", "items"]).unwrap();
    assert!(items.patch_merge && items.required && items.patch_merge_key == "id");
    assert_eq!((items.list_type, items.list_keys), (ListType::Map, &["id"][..]));
    assert!(types.field_at(thing, &["spec", "items", "on"]).is_some());
    assert!(types.field_at(thing, &["kind"]).is_some());
    assert!(types.field_at(thing, &["spec", "none"]).is_none());
}

#[test]
fn bad_facts_are_refused() {
    assert!(matches!(Types::load("X\n"), Err(LoadError::Malformed { line: 1, .. })));
    assert!(matches!(
        Types::load("S\tapi/g/v1.A\nF\tb\tapi/g/v1.B\t1\n"),
        Err(LoadError::UnknownType { name }) if name == "api/g/v1.B"
    ));
}

#[test]
fn amounts_are_kept_in_thousandths() {
    let types = types();
    let thing = types.kind("g", "v1", "Thing").unwrap();
    let mut defaults = Defaults::default();
    assert!(defaults.round(&types, thing, ".spec.limits").is_some());
    assert!(defaults.round(&types, thing, ".spec.absent").is_none());
    let mut object = value!({"spec": {"limits": {"a": "100u", "b": "1500m", "c": "1", "d": "1.0001"}}});
    defaults.apply(&types, &mut object);
    assert_eq!(object["spec"]["limits"], value!({"a": "1m", "b": "1500m", "c": "1", "d": "1001m"}));
}
