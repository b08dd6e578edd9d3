//! Values in messages, as Go's `fmt` writes what was decoded without a schema.

use crate::Value;
use crate::field::quote;

/// What a JSON object is to Go.
pub const MAP: &str = "map[string]interface {}";
/// What a YAML mapping is to `yaml.v2`.
pub const YAML_MAP: &str = "map[interface {}]interface {}";

/// `%T`.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => MAP,
    }
}

/// `%v`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(_) => format!("map[{}]", members(value, |name| name.to_owned(), plain).join(" ")),
        scalar => number(scalar),
    }
}

/// `%s`: what is no text says so.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "%!s(<nil>)".into(),
        Value::String(own) => own.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(_) => format!("map[{}]", members(value, |name| name.to_owned(), text).join(" ")),
        scalar => format!("%!s({}={})", type_of(scalar), number(scalar)),
    }
}

/// `%#v`, objects being of the type `map`.
pub fn syntax(value: &Value, map: &str) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => quote(text),
        Value::Array(items) => {
            let items = items.iter().map(|item| syntax(item, map));
            format!("[]interface {{}}{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(_) => {
            format!("{map}{{{}}}", members(value, quote, |member| syntax(member, map)).join(", "))
        }
        scalar => number(scalar),
    }
}

/// Members as `name:value`, in the order of their names.
fn members(object: &Value, name: impl Fn(&str) -> String, value: impl Fn(&Value) -> String) -> Vec<String> {
    let mut members: Vec<(&str, &Value)> = object.members().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members.into_iter().map(|(key, member)| format!("{}:{}", name(key), value(member))).collect()
}

fn number(value: &Value) -> String {
    match value {
        Value::Float(number) => float(*number),
        other => crate::json::to_string(other),
    }
}

/// `%v` of a float64: the shortest digits that mean it, with an exponent
/// below 1e-4 and from 1e6 on.
pub fn float(number: f64) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn values_are_written_as_go_writes_them() {
        let tree = value!({"b": ["x", 1, 1.5e7, null], "a": {"t": true}});
        assert_eq!(plain(&tree), "map[a:map[t:true] b:[x 1 1.5e+07 <nil>]]");
        assert_eq!(
            syntax(&tree, MAP),
            "map[string]interface {}{\"a\":map[string]interface {}{\"t\":true}, \
             \"b\":[]interface {}{\"x\", 1, 1.5e+07, interface {}(nil)}}"
        );
        assert_eq!(
            text(&tree),
            "map[a:map[t:%!s(bool=true)] b:[x %!s(int64=1) %!s(float64=1.5e+07) %!s(<nil>)]]"
        );
        assert_eq!(type_of(&tree["b"]), "[]interface {}");
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        for (number, text) in
            [(3.0, "3"), (0.5, "0.5"), (1_000_000.0, "1e+06"), (1e-5, "1e-05"), (-2.25, "-2.25")]
        {
            assert_eq!(float(number), text);
        }
    }
}
