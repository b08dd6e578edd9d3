//! JSON merge patch, RFC 7386.

use std::collections::BTreeMap;

use super::lazy::Node;
use super::{Error, go_shape};
use crate::json::Parsed;
use crate::{Object, Value};

/// Reads the body of an `application/merge-patch+json` request.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    let Parsed { value, problems } = super::parse(bytes)?;
    match value {
        value @ Value::Object(_) => Ok(Parsed { value, problems }),
        Value::Null => Err(Error::Malformed("Invalid JSON Patch".into())),
        other => Err(Error::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go_shape(&other)
        ))),
    }
}

/// Changes `target` by `patch`: objects merge, null removes, all else replaces.
/// What was reached into comes out in the order of names.
pub fn apply(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !matches!(target, Value::Object(_)) {
        *target = Value::object();
    }
    let mut document = Node::from(std::mem::take(target));
    if let Some(members) = document.members() {
        merge(members, patch);
    }
    *target = document.into();
}

fn merge(target: &mut BTreeMap<String, Node>, patch: Object) {
    for (name, change) in patch {
        if change.is_null() {
            target.remove(name.as_ref());
            continue;
        }
        match (target.get_mut(name.as_ref()).and_then(Node::members), change) {
            (Some(members), Value::Object(change)) => merge(members, change),
            // What replaces no object is rid of the nulls in it; what replaces one is not.
            (Some(_), change) => _ = target.insert(name.into_owned(), change.into()),
            (None, mut change) => {
                prune_nulls(&mut change);
                target.insert(name.into_owned(), change.into());
            }
        }
    }
}

/// Removes members that are null, wherever they are; items of lists stay. All
/// members come out in the order of names.
fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.raw_mut().retain(|(_, member)| !member.is_null());
            object.raw_mut().iter_mut().for_each(|(_, member)| prune_nulls(member));
            object.sort();
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// The patch that makes `to` of `from`. Members of `to` that are null cannot be
/// expressed and come out removed.
pub fn diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Object::new();
    for (name, value) in to.iter() {
        match from.get(name) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if matches!(value, Value::Object(_)) => {
                patch.push_new(name.to_owned(), diff(before, value));
            }
            _ => patch.push_new(name.to_owned(), value.clone()),
        }
    }
    for name in from.keys().filter(|name| !to.contains(name)) {
        patch.push_new(name.to_owned(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value;

    #[test]
    fn merges_as_the_rfc_shows() {
        let cases = [
            (value!({"a": "b"}), value!({"a": "c"}), value!({"a": "c"})),
            (value!({"a": "b"}), value!({"b": "c"}), value!({"a": "b", "b": "c"})),
            (value!({"a": "b", "b": 1}), value!({"a": null}), value!({"b": 1})),
            (value!({"a": ["b"]}), value!({"a": "c"}), value!({"a": "c"})),
            (value!({"a": {"b": "c"}}), value!({"a": {"b": "d", "c": null}}), value!({"a": {"b": "d"}})),
            (value!({"a": [{"b": "c"}]}), value!({"a": [1]}), value!({"a": [1]})),
            (value!({"a": [1]}), value!({"a": [{"b": null, "c": [null]}]}), value!({"a": [{"c": [null]}]})),
            (value!({"a": {"b": 1}}), value!({"a": [{"b": null}]}), value!({"a": [{"b": null}]})),
            (value!({"e": null}), value!({"a": 1}), value!({"e": null, "a": 1})),
            (value!({}), value!({"a": {"bb": {"ccc": null}}}), value!({"a": {"bb": {}}})),
            (value!([1, 2]), value!({"a": "b", "c": null}), value!({"a": "b"})),
        ];
        for (mut target, patch, expected) in cases {
            apply(&mut target, patch.clone());
            assert_eq!(target, expected, "{patch:?}");
        }
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..5_i64).prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|members| {
                    Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_diff_makes_the_target(from in trees(), to in trees()) {
            let patch = diff(&from, &to);
            let mut patched = from.clone();
            apply(&mut patched, patch);
            prop_assert_eq!(patched, to);
        }
    }

    #[test]
    fn other_shapes_are_refused_in_gos_words() {
        for (body, message) in [
            (
                "[1]",
                "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (
                "\"x\"",
                "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}",
            ),
            ("null", "Invalid JSON Patch"),
            ("{\"a\":", "invalid JSON patch"),
        ] {
            let error = parse(body.as_bytes()).expect_err(body);
            assert_eq!((error.to_string().as_str(), error.status().code), (message, 400));
        }
    }
}
