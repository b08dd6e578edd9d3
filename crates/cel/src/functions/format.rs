//! `format` of strings, and the library of named formats.

use apimachinery::field::quote;
use apimachinery::structural::has_format;
use apimachinery::{go, url, validation};

use super::time;
use crate::error::Error;
use crate::value::Val;

/// A double as `string(x)` writes it.
pub(crate) fn float(number: f64) -> String {
    go::float(number)
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
        Val::Timestamp(moment) => moment.to_string(),
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

/// A clause of a format: how one value is written.
#[derive(Clone, Copy)]
pub(crate) struct Clause {
    verb: char,
    precision: Option<usize>,
}

/// What the values of a format are written by.
pub(crate) const STRING: &str = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                                 durations, and timestamps";

impl Clause {
    /// Whether it writes values of any type.
    pub(crate) fn takes_all(self) -> bool {
        self.verb == 's'
    }

    /// Whether it writes values of a type; texts may be numbers that are none.
    pub(crate) fn takes(self, type_name: &str) -> bool {
        match self.verb {
            'd' | 'o' => matches!(type_name, "int" | "uint"),
            'f' | 'e' => matches!(type_name, "double" | "string"),
            'b' => matches!(type_name, "int" | "uint" | "bool"),
            _ => matches!(type_name, "int" | "uint" | "string" | "bytes"),
        }
    }

    /// Why a value of a type is not written.
    pub(crate) fn refusal(self, type_name: &str) -> String {
        let what = match self.verb {
            'd' => "decimal clause can only be used on integers",
            'f' => "fixed-point clause can only be used on doubles",
            'e' => "scientific clause can only be used on doubles",
            'b' => "only integers and bools can be formatted as binary",
            'o' => "octal clause can only be used on integers",
            's' => STRING,
            _ => "only integers, byte buffers, and strings can be formatted as hex",
        };
        format!("error during formatting: {what}, was given {type_name}")
    }

    fn write(self, value: &Val<'_>) -> Result<String, String> {
        let precision = self.precision.unwrap_or(6);
        Ok(match (self.verb, value) {
            ('s', _) => return string(value),
            ('d', Val::Int(number)) => number.to_string(),
            ('d', Val::Uint(number)) => number.to_string(),
            ('f' | 'e', Val::Double(number)) => self.float(*number, precision),
            ('f' | 'e', Val::String(text)) => match &**text {
                "NaN" => "NaN".to_owned(),
                "Infinity" => "∞".to_owned(),
                "-Infinity" => "-∞".to_owned(),
                _ => return Err(self.refusal("string")),
            },
            ('b', Val::Bool(truth)) => if *truth { "1" } else { "0" }.to_owned(),
            ('b', Val::Int(number)) => signed(*number, |magnitude| format!("{magnitude:b}")),
            ('b', Val::Uint(number)) => format!("{number:b}"),
            ('o', Val::Int(number)) => signed(*number, |magnitude| format!("{magnitude:o}")),
            ('o', Val::Uint(number)) => format!("{number:o}"),
            ('x', Val::Int(number)) => signed(*number, |magnitude| format!("{magnitude:x}")),
            ('X', Val::Int(number)) => signed(*number, |magnitude| format!("{magnitude:X}")),
            ('x', Val::Uint(number)) => format!("{number:x}"),
            ('X', Val::Uint(number)) => format!("{number:X}"),
            ('x' | 'X', Val::String(text)) => hex(text.as_bytes(), self.verb == 'X'),
            ('x' | 'X', Val::Bytes(bytes)) => hex(bytes, self.verb == 'X'),
            _ => return Err(self.refusal(&value.type_name())),
        })
    }

    /// In English letters: thousands apart, exponents raised. Upstream takes
    /// the precision of an exponent for a width.
    fn float(self, number: f64, precision: usize) -> String {
        if number.is_nan() {
            return "NaN".to_owned();
        }
        let sign = if number.is_sign_negative() { "-" } else { "" };
        let number = number.abs();
        let text = match (number.is_infinite(), self.verb) {
            (true, _) => "∞".to_owned(),
            (_, 'f') => {
                let digits = precision.min(FRACTION);
                grouped(&format!("{number:.digits$}")) + &"0".repeat(precision.min(WIDEST) - digits)
            }
            _ => raised(&format!("{number:.6e}")),
        };
        let width = if self.verb == 'e' { precision.min(WIDEST) } else { 0 };
        let blank = " ".repeat(width.saturating_sub(sign.len() + text.chars().count()));
        blank + sign + &text
    }
}

/// No double has more digits behind its point; what follows are zeros.
const FRACTION: usize = 1074;
/// The most digits and blanks that a clause makes: Go's fmt takes no more.
const WIDEST: usize = 1_000_000;

/// `1,234.5`.
fn grouped(text: &str) -> String {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::with_capacity(text.len() + text.len() / 3);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// `1.5×10⁰²` of `1.5e2`.
fn raised(text: &str) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("⁻", digits));
    let digits = format!("{digits:0>2}");
    let digits: String =
        digits.bytes().filter_map(|digit| DIGITS.get(usize::from(digit.wrapping_sub(b'0')))).collect();
    format!("{mantissa}×10{sign}{digits}")
}

/// Why a format is not followed: for one of its values, or altogether.
pub(crate) type Refusal = (Option<usize>, String);

/// Goes over a format that has `count` values, each of which `clause` writes.
/// How many clauses there are.
pub(crate) fn interpolate(
    text: &str,
    count: usize,
    out: &mut String,
    mut clause: impl FnMut(usize, Clause) -> Result<String, Refusal>,
) -> Result<usize, Refusal> {
    let failed = |why: String| (None, why);
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Err(failed("unexpected end of string".to_owned()));
        }
        if next >= count {
            return Err(failed(format!("index {next} out of range")));
        }
        let (found, after) =
            parse(rest).map_err(|why| failed(format!("could not parse formatting clause: {why}")))?;
        out.push_str(&clause(next, found)?);
        rest = after;
        next += 1;
    }
    out.push_str(rest);
    Ok(next)
}

fn parse(text: &str) -> Result<(Clause, &str), String> {
    let mut precision = None;
    let mut rest = text;
    if let Some(after) = text.strip_prefix('.') {
        const WHAT: &str = "error while parsing precision: ";
        let end = after.find(|letter: char| !letter.is_ascii_digit());
        let Some(end) = end else { return Err(format!("{WHAT}could not find end of precision specifier")) };
        let digits = &after[..end];
        let number = digits.parse::<i64>().map_err(|_| {
            let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
            format!(
                "{WHAT}error while converting precision to integer: strconv.Atoi: parsing {digits:?}: {why}"
            )
        })?;
        precision = usize::try_from(number).ok();
        rest = &after[end..];
    }
    // A letter is a byte here.
    let verb = char::from(rest.as_bytes()[0]);
    if !"sdfebxXo".contains(verb) {
        return Err(format!("unrecognized formatting clause \"{verb}\""));
    }
    Ok((Clause { verb, precision }, &rest[1..]))
}

/// `text.format(values)`.
pub(super) fn format(text: &str, values: &[Val<'_>]) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    interpolate(text, values.len(), &mut out, |at, clause| {
        clause.write(&values[at]).map_err(|why| (Some(at), why))
    })
    .map_err(|(_, why)| Error::failed(why))?;
    Ok(out)
}

/// `%s`.
fn string(value: &Val<'_>) -> Result<String, String> {
    const WHAT: &str = "error during formatting: ";
    if value.items().is_some() || value.entries().is_some() {
        return inner(value).map_err(|why| format!("{WHAT}{why}"));
    }
    match value {
        Val::Null
        | Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::Double(_)
        | Val::String(_)
        | Val::Bytes(_)
        | Val::Type(_)
        | Val::Duration(_)
        | Val::Timestamp(_) => Ok(shown(value)),
        _ => Err(format!("{WHAT}{STRING}, was given {}", value.type_name())),
    }
}

/// A value within a list or map, as an expression would have it.
fn inner(value: &Val<'_>) -> Result<String, String> {
    if let Some(items) = value.items() {
        let items: Result<Vec<String>, String> = items.iter().map(inner).collect();
        return Ok(format!("[{}]", items?.join(", ")));
    }
    if let Some(entries) = value.entries() {
        let mut pairs = Vec::with_capacity(entries.len());
        for (key, value) in &entries {
            if !matches!(key, Val::String(_) | Val::Bool(_) | Val::Int(_) | Val::Uint(_)) {
                return Err(format!("no formatting function for map key of type {}", key.type_name()));
            }
            pairs.push((inner(key)?, inner(value)?));
        }
        pairs.sort();
        let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
        return Ok(format!("{{{}}}", pairs.join(", ")));
    }
    Ok(match value {
        Val::String(text) => quote(text),
        Val::Bytes(_) => format!("b{}", quote(&shown(value))),
        Val::Timestamp(_) => format!("timestamp({})", quote(&shown(value))),
        Val::Duration(_) => format!("duration({})", quote(&shown(value))),
        Val::Double(number) if number.is_finite() => format!("{number:.6}"),
        Val::Double(number) => quote(&float(*number)),
        Val::Null | Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Type(_) => shown(value),
        _ => return Err(format!("no formatting function for {}", value.type_name())),
    })
}

fn signed(number: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", digits(number.unsigned_abs()))
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

/// A format of the library.
#[derive(Debug)]
pub struct NamedFormat {
    name: &'static str,
    /// How long its pattern is, or would be: what a check costs.
    pub(crate) pattern: u64,
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
    NamedFormat { name: "dns1123Label", pattern: 30, check: validation::dns1123_label },
    NamedFormat { name: "dns1123Subdomain", pattern: 60, check: validation::dns1123_subdomain },
    NamedFormat { name: "dns1035Label", pattern: 30, check: validation::dns1035_label },
    NamedFormat { name: "qualifiedName", pattern: 60, check: validation::qualified_name },
    NamedFormat {
        name: "dns1123LabelPrefix",
        pattern: 30,
        check: |text| validation::dns1123_label(&as_prefix(text)),
    },
    NamedFormat {
        name: "dns1123SubdomainPrefix",
        pattern: 60,
        check: |text| validation::dns1123_subdomain(&as_prefix(text)),
    },
    NamedFormat {
        name: "dns1035LabelPrefix",
        pattern: 30,
        check: |text| validation::dns1035_label(&as_prefix(text)),
    },
    NamedFormat { name: "labelValue", pattern: 40, check: validation::label_value },
    NamedFormat {
        name: "uri",
        pattern: 1103,
        check: |text| url::parse_request_uri(text).err().into_iter().collect(),
    },
    NamedFormat {
        name: "uuid",
        pattern: 70,
        check: |text| refused("uuid", text, "does not match the UUID format"),
    },
    NamedFormat { name: "byte", pattern: 84, check: |text| refused("byte", text, "invalid base64") },
    NamedFormat { name: "date", pattern: 71, check: |text| refused("date", text, "invalid date") },
    NamedFormat {
        name: "datetime",
        pattern: 71,
        check: |text| refused("datetime", text, "invalid datetime"),
    },
];

fn refused(format: &str, text: &str, why: &str) -> Vec<String> {
    if has_format(format, text) { Vec::new() } else { vec![why.to_owned()] }
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
