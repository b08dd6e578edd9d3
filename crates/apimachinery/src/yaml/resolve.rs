//! What a scalar means, by its tag and, where it is plain, by its form: the
//! rules of Go's `yaml.v2` (its resolve.go), which are neither quite YAML 1.1's
//! nor 1.2's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::YamlError;
use crate::Value;

/// The value of a scalar.
///
/// # Errors
/// A text that is not of the type that its tag names.
pub(super) fn scalar(text: &str, tag: &str, is_plain: bool) -> Result<Value, YamlError> {
    match tag {
        "" if !is_plain => Ok(text.into()),
        "" => Ok(plain(text).unwrap_or_else(|| text.into())),
        "!!str" => Ok(text.into()),
        "!!binary" => {
            let bytes = STANDARD.decode(text);
            let bytes = bytes.map_err(|_| YamlError::new("!!binary value contains invalid base64 data"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => {
            let value = plain(text).unwrap_or_else(|| text.into());
            let is = match &value {
                Value::Null => "!!null",
                Value::Bool(_) => "!!bool",
                Value::Int(_) => "!!int",
                Value::Float(_) => "!!float",
                // A point in time stays the text that it is.
                _ if tag == "!!timestamp" => tag,
                _ => "!!str",
            };
            match value {
                value if is == tag => Ok(value),
                Value::Int(number) if tag == "!!float" => Ok(Value::Float(number as f64)),
                _ => Err(YamlError::new(format!("cannot decode {is} `{text}` as a {tag}"))),
            }
        }
        // A type of one's own: the text stays what it is.
        _ => Ok(text.into()),
    }
}

/// What a plain text is where it is no string.
fn plain(text: &str) -> Option<Value> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text),
        b'+' | b'-' | b'0'..=b'9' => {
            let digits = text.replace('_', "");
            whole(&digits).or_else(|| float(&digits))
        }
        _ => None,
    }
}

/// `strconv.ParseInt` and `ParseUint` with base 0.
fn whole(text: &str) -> Option<Value> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        // A second sign.
        return None;
    }
    let number = u64::from_str_radix(digits, base).ok()?;
    if is_negative {
        let number = i128::from(number);
        return i64::try_from(-number).ok().map(Value::Int);
    }
    if text.starts_with('+') && i64::try_from(number).is_err() {
        return None;
    }
    Some(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, where it is no larger
/// than a float can be.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let is_float = are_digits(before)
        && are_digits(after)
        && !(before.is_empty() && after.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && are_digits(exponent));
    text.parse().ok().filter(|number: &f64| is_float && number.is_finite()).map(Value::Float)
}
