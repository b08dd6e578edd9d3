//! What the tree lacks to be a value of its type, in the words of upstream's
//! converter of unstructured objects, which strategic patches go through
//! instead of a decoder. It stops at the first thing that is wrong.

use super::decode::item_type;
use super::{Type, TypeId, Types};
use crate::Value;

/// Why `value` is no `ty`, if it is none as far as its form tells: scalars that
/// decode themselves are not looked at.
pub fn why_not(types: &Types, ty: TypeId, value: &Value) -> Option<String> {
    wrong(types, Type::Struct(ty), "", value)
}

fn wrong(types: &Types, ty: Type, go_type: &'static str, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    match (ty, value) {
        (Type::Struct(id), Value::Object(_)) => {
            let fields = types.get(id).fields.iter();
            fields.into_iter().find_map(|field| wrong(types, field.ty, field.go_type, &value[field.json]))
        }
        (Type::Struct(_), _) => Some(format!("cannot restore struct from: {}", kind(value))),
        (Type::Map(item), Value::Object(members)) => {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            let inner = item_type(go_type);
            names.into_iter().find_map(|name| wrong(types, *item, inner, &value[name]))
        }
        (Type::Map(_), _) => Some(format!("cannot restore map from {}", kind(value))),
        (Type::List(item), Value::Array(items)) => {
            let inner = item_type(go_type);
            items.iter().find_map(|each| wrong(types, *item, inner, each))
        }
        (Type::List(_), _) => Some(format!("cannot restore slice from {}", kind(value))),
        (Type::Bytes, Value::String(text)) => super::scalar::canonical_base64(text)
            .err()
            .map(|error| format!("error decoding from json: {error}")),
        (Type::Bytes, _) => Some(format!("cannot restore slice from {}", kind(value))),
        (Type::String | Type::Bool | Type::Int32 | Type::Int64 | Type::Float, _) => {
            scalar(ty, go_type, value)
        }
        _ => None,
    }
}

/// Brings whole numbers into the width of their fields, as the converter does:
/// of what is too large the upper bits go.
pub fn narrow(types: &Types, ty: TypeId, value: &mut Value) {
    narrowed(types, Type::Struct(ty), value);
}

fn narrowed(types: &Types, ty: Type, value: &mut Value) {
    match (ty, value) {
        (Type::Struct(id), Value::Object(members)) => {
            for (name, member) in members.raw_mut() {
                if let Some(field) = types.get(id).field(name) {
                    narrowed(types, field.ty, member);
                }
            }
        }
        (Type::Map(item), Value::Object(members)) => {
            members.raw_mut().iter_mut().for_each(|(_, member)| narrowed(types, *item, member));
        }
        (Type::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|each| narrowed(types, *item, each));
        }
        (Type::Int32, Value::Int(number)) => *number = i64::from(*number as i32),
        _ => {}
    }
}

fn scalar(ty: Type, go_type: &str, value: &Value) -> Option<String> {
    let plain = match ty {
        Type::String => "string",
        Type::Bool => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        _ => "float64",
    };
    let (fits, convertible) = match (ty, value) {
        (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) => (true, true),
        (Type::Int32 | Type::Int64 | Type::Float, Value::Int(_)) => (true, true),
        (Type::Float, Value::Float(_)) => (true, true),
        (Type::Int32 | Type::Int64, Value::Float(number)) => (number.fract() == 0.0, true),
        // Go makes texts of numbers, as of runes.
        (Type::String, Value::Int(_)) => (false, true),
        _ => (false, false),
    };
    match (fits, convertible) {
        (true, _) => None,
        (false, true) => {
            let named = if go_type.is_empty() { plain } else { go_type };
            Some(format!("cannot convert {} to {named}", kind(value)))
        }
        (false, false) => Some(format!("unrecognized type: {plain}")),
    }
}

/// Go's kind of a decoded value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    const TYPES: &str = "\
K\t\tv1\tThing\ta.Thing
S\ta.Thing
F\tspec\ta.Spec\t1
S\ta.Spec
F\treplicas\t*int32\t1
F\tpolicy\tstring\t2\tg=v1.Policy
F\tlabels\tmap[string]string\t3
F\titems\t[]a.Item\t4
F\tdata\tbytes\t5
S\ta.Item
F\ton\tbool\t1
";

    #[test]
    fn the_first_thing_that_does_not_fit_is_told() {
        let types = Types::load(TYPES).unwrap();
        let ty = types.kind("", "v1", "Thing").unwrap();
        for (spec, expected) in [
            (value!({"replicas": 1, "policy": "A", "labels": {"a": "b"}, "items": [{"on": true}]}), ""),
            (value!({"replicas": null, "items": [null]}), ""),
            (value!([]), "cannot restore struct from: slice"),
            (value!({"labels": []}), "cannot restore map from slice"),
            (value!({"labels": {"a": {}}}), "unrecognized type: string"),
            (value!({"items": {}}), "cannot restore slice from map"),
            (value!({"items": ["x"]}), "cannot restore struct from: string"),
            (value!({"items": [{"on": "x"}]}), "unrecognized type: bool"),
            (value!({"data": "YW!j"}), "error decoding from json: illegal base64 data at input byte 2"),
            (value!({"data": 1}), "cannot restore slice from int64"),
            (value!({"replicas": "x", "labels": 1}), "unrecognized type: int32"),
            (value!({"replicas": 1.5}), "cannot convert float64 to int32"),
            (value!({"policy": 7}), "cannot convert int64 to v1.Policy"),
        ] {
            let told = why_not(&types, ty, &value!({"spec": spec.clone()})).unwrap_or_default();
            assert_eq!(told, expected, "{spec:?}");
        }
    }

    #[test]
    fn what_is_too_large_loses_its_upper_bits() {
        let types = Types::load(TYPES).unwrap();
        let ty = types.kind("", "v1", "Thing").unwrap();
        for (replicas, kept) in
            [(3, 3), (4_294_967_296i64, 0), (4_294_967_299, 3), (2_147_483_648, -2_147_483_648)]
        {
            let mut object = value!({"spec": {"replicas": replicas}});
            narrow(&types, ty, &mut object);
            assert_eq!(object["spec"]["replicas"].as_i64(), Some(kept), "{replicas}");
        }
    }
}
