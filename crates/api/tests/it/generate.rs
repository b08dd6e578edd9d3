//! Values of any built-in type, made of a stream of choices, so that proptest
//! can shrink them.

use apimachinery::schema::{Or, Type, TypeId, Types};
use apimachinery::{Object, Value};

/// Choices in order; where they end, the smallest.
pub struct Choices<'a>(pub std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 8] = ["", "a", "web", "é€😀", "<&>", "\"\\\n", "a b", "\u{2028}x"];
        TEXTS[usize::from(self.next()) % TEXTS.len()].to_owned()
    }
}

/// JSON that a client could send for `ty`: members in any order, empties and
/// nulls, texts that are not canonical.
pub fn value(types: &Types, ty: Type, choices: &mut Choices<'_>, depth: usize) -> Value {
    let pick = usize::from(choices.next());
    let one_of = |texts: &[&str]| Value::String(texts[pick % texts.len()].to_owned());
    match ty {
        Type::String => Value::String(choices.text()),
        Type::Bytes => one_of(&["", "YQ==", "YWI=", "YWJj", "////"]),
        Type::Bool => Value::Bool(pick % 2 == 1),
        Type::Int32 => Value::Int([0, 1, -1, 80, i32::MAX.into(), i32::MIN.into()][pick % 6]),
        Type::Int64 => Value::Int([0, 1, -1, 3600, i64::MAX, i64::MIN][pick % 6]),
        Type::Float => Value::Float([0.0, 1.5, -2.25, 1e21, 3.0][pick % 5]),
        Type::Quantity => {
            one_of(&["0", "100m", "1000m", "1.5Gi", "64Mi", "1e3", "0.5", "-1", "1.500", "12E"])
        }
        Type::Time => {
            one_of(&["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00", "0001-01-01T00:00:00Z"])
        }
        Type::MicroTime => one_of(&["2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05.100000-07:00"]),
        Type::Duration => one_of(&["0s", "90s", "1.5h", "100ms"]),
        Type::IntOrString => match pick % 3 {
            0 => Value::Int(8080),
            1 => Value::Int(0),
            _ => Value::String("25%".into()),
        },
        Type::RawExtension | Type::FieldsV1 | Type::Json | Type::Any => raw(choices, 2),
        Type::SchemaOr(_, Or::Bool) if pick % 3 > 0 => Value::Bool(pick % 3 == 1),
        Type::SchemaOr(id, Or::Array) if pick % 2 == 1 => {
            Value::Array(vec![object(types, id, choices, depth), object(types, id, choices, depth)])
        }
        Type::SchemaOr(_, Or::StringArray) if pick % 2 == 1 => {
            Value::Array(vec![Value::String(choices.text())])
        }
        Type::SchemaOr(id, _) | Type::Struct(id) => object(types, id, choices, depth),
        Type::List(item) => {
            Value::Array((0..pick % 3).map(|_| value(types, *item, choices, depth)).collect())
        }
        Type::Map(item) => {
            let mut object = Object::new();
            for name in ["z", "a", "m/é"].iter().take(pick % 4) {
                object.insert(*name, value(types, *item, choices, depth));
            }
            Value::Object(object)
        }
    }
}

fn object(types: &Types, id: TypeId, choices: &mut Choices<'_>, depth: usize) -> Value {
    let ty = types.get(id);
    let mut object = Object::new();
    let start = usize::from(choices.next());
    for at in 0..ty.fields.len() {
        // Begin anywhere, so that the order is not Go's.
        let field = &ty.fields[(start + at) % ty.fields.len()];
        if !field.in_protobuf && matches!(field.json, "kind" | "apiVersion") {
            // Nested kinds lose theirs in a message, upstream too.
            continue;
        }
        let deep = depth == 0 && (field.item_struct().is_some());
        match choices.next() % 4 {
            0 => {}
            1 if field.pointer || matches!(field.ty, Type::List(_) | Type::Map(_)) => {
                object.insert(field.json, Value::Null);
            }
            _ if deep => {}
            _ => {
                object.insert(field.json, value(types, field.ty, choices, depth.saturating_sub(1)));
            }
        }
    }
    Value::Object(object)
}

fn raw(choices: &mut Choices<'_>, depth: usize) -> Value {
    match choices.next() % if depth == 0 { 5 } else { 7 } {
        0 => Value::Int(5),
        1 => Value::String(choices.text()),
        2 => Value::Bool(true),
        3 => Value::Float(1.5),
        4 => Value::Int(-7),
        5 => Value::Array((0..choices.next() % 3).map(|_| raw(choices, depth - 1)).collect()),
        _ => {
            let mut object = Object::new();
            for name in ["b", "a"].iter().take(usize::from(choices.next() % 3)) {
                object.insert(*name, raw(choices, depth - 1));
            }
            Value::Object(object)
        }
    }
}
