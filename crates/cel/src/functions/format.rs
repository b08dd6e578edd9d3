//! `format` of strings, and the library of named formats.

use std::fmt::Write as _;

use apimachinery::{Value, json, validation};

use super::time;
use crate::error::Error;
use crate::value::Val;

/// A double as `string(x)` writes it.
pub(crate) fn float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => json::to_string(&Value::Float(number)),
    }
}

/// A value in a message or under `%s`.
pub(crate) fn shown(value: &Val<'_>) -> String {
    match value {
        Val::Null => "null".to_owned(),
        Val::Bool(truth) => truth.to_string(),
        Val::Int(number) => number.to_string(),
        Val::Uint(number) => number.to_string(),
        Val::Double(number) => float(*number),
        Val::String(text) | Val::Type(text) => text.clone().into_owned(),
        Val::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Val::Duration(nanos) => time::show_duration(*nanos),
        Val::Timestamp(moment) => time::show_timestamp(*moment),
        Val::Quantity(quantity) => quantity.to_string(),
        Val::Ip(address) => address.to_string(),
        Val::Cidr(cidr) => cidr.to_string(),
        Val::Semver(version) => version.to_string(),
        Val::Optional(Some(value)) => shown(value),
        other => match (other.items(), other.entries()) {
            (Some(items), _) => {
                format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            (None, Some(entries)) => {
                let mut pairs: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value))).collect();
                pairs.sort();
                format!("{{{}}}", pairs.join(", "))
            }
            _ => other.type_name().into_owned(),
        },
    }
}

/// `text.format(values)`.
pub(super) fn format(text: &str, values: &[Val<'_>]) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        if letters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if letters.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = digits.parse::<usize>().ok();
        }
        let Some(verb) = letters.next() else {
            return Err(Error::failed("unexpected end of string"));
        };
        let value = values.get(next).ok_or_else(|| Error::failed(format!("index {next} out of range")))?;
        next += 1;
        one(&mut out, verb, precision, value)?;
    }
    Ok(out)
}

fn one(out: &mut String, verb: char, precision: Option<usize>, value: &Val<'_>) -> Result<(), Error> {
    let refuse = |what: &str| {
        let name = value.type_name();
        Err(Error::failed(format!(
            "error during formatting: {what} clause can only be used on {}, was given {name}",
            match verb {
                'd' => "integers",
                'b' => "integers and bools",
                'o' => "integers",
                'x' | 'X' => "integers, byte buffers, and strings",
                _ => "doubles",
            }
        )))
    };
    match (verb, value) {
        ('s', _) => out.push_str(&shown(value)),
        ('d', Val::Int(number)) => out.push_str(&number.to_string()),
        ('d', Val::Uint(number)) => out.push_str(&number.to_string()),
        ('f', Val::Double(number)) => {
            let _ = write!(out, "{number:.*}", precision.unwrap_or(6));
        }
        ('f', Val::Int(number)) => {
            let _ = write!(out, "{:.*}", precision.unwrap_or(6), *number as f64);
        }
        ('e', Val::Double(number)) => out.push_str(&scientific(*number, precision.unwrap_or(6))),
        ('e', Val::Int(number)) => out.push_str(&scientific(*number as f64, precision.unwrap_or(6))),
        ('b', Val::Bool(truth)) => out.push(if *truth { '1' } else { '0' }),
        ('b', Val::Int(number)) => out.push_str(&signed(*number, |magnitude| format!("{magnitude:b}"))),
        ('b', Val::Uint(number)) => out.push_str(&format!("{number:b}")),
        ('o', Val::Int(number)) => out.push_str(&signed(*number, |magnitude| format!("{magnitude:o}"))),
        ('o', Val::Uint(number)) => out.push_str(&format!("{number:o}")),
        ('x', Val::Int(number)) => out.push_str(&signed(*number, |magnitude| format!("{magnitude:x}"))),
        ('X', Val::Int(number)) => out.push_str(&signed(*number, |magnitude| format!("{magnitude:X}"))),
        ('x', Val::Uint(number)) => out.push_str(&format!("{number:x}")),
        ('X', Val::Uint(number)) => out.push_str(&format!("{number:X}")),
        ('x' | 'X', Val::String(text)) => hex(out, text.as_bytes(), verb == 'X'),
        ('x' | 'X', Val::Bytes(bytes)) => hex(out, bytes, verb == 'X'),
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', _) => {
            let what = match verb {
                'd' => "integer",
                'f' => "fixed-point",
                'e' => "scientific",
                'b' => "binary",
                'o' => "octal",
                _ => "hex",
            };
            return refuse(what);
        }
        (other, _) => {
            return Err(Error::failed(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{other}\""
            )));
        }
    }
    Ok(())
}

fn signed(number: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", digits(number.unsigned_abs()))
}

fn hex(out: &mut String, bytes: &[u8], upper: bool) {
    for byte in bytes {
        out.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
}

/// `1.500000e+02`.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// A format of the library.
#[derive(Debug)]
pub struct NamedFormat {
    name: &'static str,
    check: fn(&str) -> Vec<String>,
}

impl NamedFormat {
    /// What is wrong with a text, or none.
    pub(super) fn validated<'a>(&self, text: &str) -> Val<'a> {
        let wrong = (self.check)(text);
        if wrong.is_empty() {
            return Val::Optional(None);
        }
        Val::some(Val::list(wrong.into_iter().map(Val::string).collect()))
    }
}

/// A prefix may end where a name may not.
fn as_prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(start) => format!("{start}a"),
        None => text.to_owned(),
    }
}

static FORMATS: [NamedFormat; 13] = [
    NamedFormat { name: "dns1123Label", check: validation::dns1123_label },
    NamedFormat { name: "dns1123Subdomain", check: validation::dns1123_subdomain },
    NamedFormat { name: "dns1035Label", check: validation::dns1035_label },
    NamedFormat { name: "qualifiedName", check: validation::qualified_name },
    NamedFormat { name: "dns1123LabelPrefix", check: |text| validation::dns1123_label(&as_prefix(text)) },
    NamedFormat {
        name: "dns1123SubdomainPrefix",
        check: |text| validation::dns1123_subdomain(&as_prefix(text)),
    },
    NamedFormat { name: "dns1035LabelPrefix", check: |text| validation::dns1035_label(&as_prefix(text)) },
    NamedFormat { name: "labelValue", check: validation::label_value },
    NamedFormat { name: "uri", check: |text| super::Url::parse(text).err().into_iter().collect() },
    NamedFormat { name: "uuid", check: |text| refused(is_uuid(text), "does not match the UUID format") },
    NamedFormat { name: "byte", check: |text| refused(is_base64(text), "invalid base64") },
    NamedFormat {
        name: "date",
        check: |text| refused(text.len() == 10 && time::parse_moment(text).is_ok(), "invalid date"),
    },
    NamedFormat {
        name: "datetime",
        check: |text| refused(text.len() > 10 && time::parse_moment(text).is_ok(), "invalid datetime"),
    },
];

fn refused(holds: bool, why: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![why.to_owned()] }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// `format.named(…)` and the formats by their own names.
pub(super) fn named<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    let find = |name: &str| FORMATS.iter().find(|format| format.name == name);
    match (function.strip_prefix("format."), args) {
        (Some("named"), [Val::String(name)]) => {
            Ok(Val::Optional(find(name).map(|format| Val::Format(format).into())))
        }
        (Some(name), []) => find(name).map(Val::Format).ok_or_else(Error::no_overload),
        _ => Err(Error::no_overload()),
    }
}
