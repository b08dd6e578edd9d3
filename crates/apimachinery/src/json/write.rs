//! Tree → bytes as Go's `encoding/json` writes them: `<`, `>`, `&` and the line
//! separators escaped, floats shortest with Go's exponents.

use crate::{Object, Value};

/// How the members of `metadata` are ordered, which decides where
/// `resourceVersion` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go's order of struct fields: built-in kinds.
    Go,
    /// By name: custom resources.
    Sorted,
}

/// Where `resourceVersion` goes in encoded bytes that do not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Splice {
    /// Offset into the bytes.
    pub at: usize,
    /// A comma goes before it: it is the last member of several.
    pub comma_before: bool,
    /// A comma goes after it: another member follows.
    pub comma_after: bool,
}

impl Splice {
    /// Writes `encoded` with `"resourceVersion":"version"` in its place.
    pub fn write(&self, encoded: &[u8], version: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&encoded[..self.at]);
        self.write_member(version, out);
        out.extend_from_slice(&encoded[self.at..]);
    }

    /// Writes what goes between the two halves.
    pub fn write_member(&self, version: &str, out: &mut Vec<u8>) {
        if self.comma_before {
            out.push(b',');
        }
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(version.as_bytes());
        out.push(b'"');
        if self.comma_after {
            out.push(b',');
        }
    }
}

/// Appends `value` as JSON, members in their order.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => write_int(*number, out),
        Value::Float(number) => write_float(*number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                encode(item, out);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (at, (name, member)) in object.raw().iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                encode(member, out);
            }
            out.push(b'}');
        }
    }
}

/// `value` as JSON text.
pub fn to_string(value: &Value) -> String {
    let mut out = Vec::with_capacity(256);
    encode(value, &mut out);
    String::from_utf8(out).expect("built of UTF-8 only")
}

/// Appends an object without `metadata.resourceVersion` and tells where that
/// goes (an offset into what was appended). `None` where there is no `metadata`.
pub fn encode_object(object: &Value, order: Order, out: &mut Vec<u8>) -> Option<Splice> {
    let Value::Object(members) = object else {
        encode(object, out);
        return None;
    };
    let start = out.len();
    let mut splice = None;
    out.push(b'{');
    for (at, (name, member)) in members.raw().iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        match member {
            Value::Object(metadata) if name == "metadata" => {
                splice = Some(encode_metadata(metadata, order, start, out));
            }
            _ => encode(member, out),
        }
    }
    out.push(b'}');
    splice
}

fn encode_metadata(metadata: &Object, order: Order, start: usize, out: &mut Vec<u8>) -> Splice {
    let follows = |name: &str| match order {
        Order::Sorted => name > "resourceVersion",
        // Those before it in ObjectMeta and in ListMeta.
        Order::Go => !matches!(name, "name" | "generateName" | "namespace" | "selfLink" | "uid"),
    };
    let mut splice: Option<Splice> = None;
    let mut written = 0;
    out.push(b'{');
    for (name, member) in metadata.iter().filter(|(name, _)| *name != "resourceVersion") {
        if written > 0 {
            out.push(b',');
        }
        if splice.is_none() && follows(name) {
            splice = Some(Splice { at: out.len() - start, comma_before: false, comma_after: true });
        }
        write_string(name, out);
        out.push(b':');
        encode(member, out);
        written += 1;
    }
    let splice =
        splice.unwrap_or(Splice { at: out.len() - start, comma_before: written > 0, comma_after: false });
    out.push(b'}');
    splice
}

/// Which bytes cannot stand in a string as they are. 0xE2 begins the line
/// separators U+2028 and U+2029.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'&' as usize] = true;
    special[0xE2] = true;
    special
};

/// Appends a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if !SPECIAL[byte as usize] {
            at += 1;
            continue;
        }
        if byte == 0xE2 && !matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xA8 | 0xA9])) {
            at += 1;
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0xE2 => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[at + 2] & 0xf)]);
                at += 2;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xf)]);
            }
        }
        at += 1;
        from = at;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn write_int(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// As Go: plain between 1e-6 and 1e21, with an exponent elsewhere.
fn write_float(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    if size == 0.0 {
        // A zero with a sign would be read again as the whole number without one.
        return out.push(b'0');
    }
    if !number.is_finite() {
        // JSON has no such numbers; nothing that is read makes one.
        return out.extend_from_slice(b"null");
    }
    if !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        return out.extend_from_slice(format!("{mantissa}e{sign}{exponent}").as_bytes());
    }
    out.extend_from_slice(format!("{number}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn strings_and_floats_are_gos() {
        let value = value!(["a<b>&\u{2028}\u{2029}é€\"\\\n\u{1}\u{8}\u{7f}"]);
        assert_eq!(
            to_string(&value),
            "[\"a\\u003cb\\u003e\\u0026\\u2028\\u2029é€\\\"\\\\\\n\\u0001\\b\u{7f}\"]"
        );
        for (number, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (-2.5, "-2.5"),
            (-0.0, "0"),
            (0.0, "0"),
        ] {
            assert_eq!(to_string(&Value::Float(number)), text);
        }
        assert_eq!(
            to_string(&value!([(i64::MIN), (i64::MAX), 0])),
            "[-9223372036854775808,9223372036854775807,0]"
        );
    }

    #[test]
    fn the_resource_version_is_spliced_in_where_go_writes_it() {
        let cases = [
            (
                value!({"kind": "X", "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "labels": {}}}),
                Order::Go,
                r#"{"kind":"X","metadata":{"name":"a","uid":"u","resourceVersion":"42","labels":{}}}"#,
            ),
            (
                value!({"metadata": {"name": "a"}, "spec": {}}),
                Order::Go,
                r#"{"metadata":{"name":"a","resourceVersion":"42"},"spec":{}}"#,
            ),
            (value!({"metadata": {}}), Order::Go, r#"{"metadata":{"resourceVersion":"42"}}"#),
            (
                value!({"metadata": {"labels": {}, "name": "a", "uid": "u"}}),
                Order::Sorted,
                r#"{"metadata":{"labels":{},"name":"a","resourceVersion":"42","uid":"u"}}"#,
            ),
        ];
        for (object, order, spliced) in cases {
            let mut bytes = Vec::new();
            let splice = encode_object(&object, order, &mut bytes).unwrap();
            let mut out = Vec::new();
            splice.write(&bytes, "42", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), spliced);
        }
    }
}
