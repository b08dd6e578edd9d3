//! Arithmetic and conversions of the standard library.

use std::rc::Rc;

use super::time;
use crate::error::Error;
use crate::value::Val;

fn int_overflow() -> Error {
    Error::failed("integer overflow")
}

fn uint_overflow() -> Error {
    Error::failed("unsigned integer overflow")
}

/// `a + b` and its kin.
pub(super) fn calculate<'a>(function: &str, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Error> {
    use Val::{Bytes, Double, Duration, Int, String, Timestamp, Uint};
    match (function, a, b) {
        ("_+_", Int(a), Int(b)) => a.checked_add(*b).map(Int).ok_or_else(int_overflow),
        ("_-_", Int(a), Int(b)) => a.checked_sub(*b).map(Int).ok_or_else(int_overflow),
        ("_*_", Int(a), Int(b)) => a.checked_mul(*b).map(Int).ok_or_else(int_overflow),
        ("_/_", Int(_), Int(0)) | ("_/_", Uint(_), Uint(0)) => Err(Error::failed("division by zero")),
        ("_%_", Int(_), Int(0)) | ("_%_", Uint(_), Uint(0)) => Err(Error::failed("modulus by zero")),
        ("_/_", Int(a), Int(b)) => a.checked_div(*b).map(Int).ok_or_else(int_overflow),
        ("_%_", Int(a), Int(b)) => a.checked_rem(*b).map(Int).ok_or_else(int_overflow),
        ("_+_", Uint(a), Uint(b)) => a.checked_add(*b).map(Uint).ok_or_else(uint_overflow),
        ("_-_", Uint(a), Uint(b)) => a.checked_sub(*b).map(Uint).ok_or_else(uint_overflow),
        ("_*_", Uint(a), Uint(b)) => a.checked_mul(*b).map(Uint).ok_or_else(uint_overflow),
        ("_/_", Uint(a), Uint(b)) => Ok(Uint(a / b)),
        ("_%_", Uint(a), Uint(b)) => Ok(Uint(a % b)),
        ("_+_", Double(a), Double(b)) => Ok(Double(a + b)),
        ("_-_", Double(a), Double(b)) => Ok(Double(a - b)),
        ("_*_", Double(a), Double(b)) => Ok(Double(a * b)),
        ("_/_", Double(a), Double(b)) => Ok(Double(a / b)),
        ("_+_", String(a), String(b)) => Ok(Val::string(format!("{a}{b}"))),
        ("_+_", Bytes(a), Bytes(b)) => Ok(Bytes(a.iter().chain(b.iter()).copied().collect())),
        ("_+_" | "_-_", Duration(_) | Timestamp(_), _) | ("_+_", _, Timestamp(_)) => {
            time::calculate(function == "_+_", a, b)
        }
        ("_+_", _, _) => a.concatenated(b).ok_or_else(Error::no_overload),
        _ => Err(Error::no_overload()),
    }
}

pub(super) fn negate<'a>(a: &Val<'a>) -> Result<Val<'a>, Error> {
    match a {
        Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(int_overflow),
        Val::Double(number) => Ok(Val::Double(-number)),
        _ => Err(Error::no_overload()),
    }
}

/// `int(x)` and its kin.
pub(super) fn convert<'a>(to: &str, of: &Val<'a>) -> Result<Val<'a>, Error> {
    use Val::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    let refuse = || {
        let from = of.type_name();
        Err(Error::failed(format!("type conversion error from '{from}' to '{to}'")))
    };
    Ok(match (to, of) {
        ("bool", Bool(_))
        | ("bytes", Bytes(_))
        | ("double", Double(_))
        | ("int", Int(_))
        | ("uint", Uint(_))
        | ("string", String(_)) => of.clone(),
        ("bool", String(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Bool(false),
            _ => return refuse(),
        },
        ("bytes", String(text)) => Bytes(text.as_bytes().into()),
        ("double", Int(number)) => Double(*number as f64),
        ("double", Uint(number)) => Double(*number as f64),
        ("double", String(text)) => match text.parse() {
            Ok(number) => Double(number),
            Err(_) => return refuse(),
        },
        ("int", Uint(number)) => Int(i64::try_from(*number).map_err(|_| int_overflow())?),
        ("int", Double(number)) if number.abs() < 9_223_372_036_854_775_808.0 => Int(*number as i64),
        ("int", Double(_)) => return Err(int_overflow()),
        ("int", Duration(nanos)) => Int(*nanos),
        ("int", Timestamp(moment)) => Int(moment.at().as_second()),
        ("int", String(text)) => match text.parse() {
            Ok(number) => Int(number),
            Err(_) => return refuse(),
        },
        ("uint", Int(number)) => Uint(u64::try_from(*number).map_err(|_| uint_overflow())?),
        ("uint", Double(number)) if *number >= 0.0 && *number < 18_446_744_073_709_551_616.0 => {
            Uint(*number as u64)
        }
        ("uint", Double(_)) => return Err(uint_overflow()),
        ("uint", String(text)) => match text.parse() {
            Ok(number) => Uint(number),
            Err(_) => return refuse(),
        },
        ("string", Bool(truth)) => Val::string(truth.to_string()),
        ("string", Int(number)) => Val::string(number.to_string()),
        ("string", Uint(number)) => Val::string(number.to_string()),
        ("string", Double(number)) => Val::string(super::format::float(*number)),
        ("string", Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Val::string(text.to_owned()),
            Err(_) => return Err(Error::failed("invalid UTF-8 in bytes, cannot convert to string")),
        },
        ("string", Duration(nanos)) => Val::string(time::show_duration(*nanos)),
        ("string", Timestamp(moment)) => Val::string(moment.to_string()),
        ("string", Val::Ip(address)) => Val::string(address.to_string()),
        ("string", Val::Cidr(cidr)) => Val::string(cidr.to_string()),
        _ => return Err(Error::no_overload()),
    })
}

/// The value that adds nothing to a sum.
pub(super) fn zero_like<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    Some(match value {
        Val::Int(_) => Val::Int(0),
        Val::Uint(_) => Val::Uint(0),
        Val::Double(_) => Val::Double(0.0),
        Val::Duration(_) => Val::Duration(0),
        Val::String(_) => Val::string(""),
        Val::Bytes(_) => Val::Bytes(Rc::from([])),
        _ => return None,
    })
}
