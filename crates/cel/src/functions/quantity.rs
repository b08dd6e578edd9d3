//! The library of quantities.

use std::cmp::Ordering;

use apimachinery::quantity::{Format, Quantity};

use crate::error::Error;
use crate::value::Val;

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, String};
    if let ("quantity" | "isQuantity", [String(text)]) = (function, args) {
        let parsed = Quantity::parse(text);
        return match function {
            "isQuantity" => Ok(Bool(parsed.is_ok())),
            _ => parsed.map(Val::Quantity).map_err(|error| Error::failed(error.to_string())),
        };
    }
    let Some(Val::Quantity(quantity)) = args.first() else { return Err(Error::no_overload()) };
    Ok(match (function, &args[1..]) {
        ("isInteger", []) => Bool(integer(*quantity).is_some()),
        ("asInteger", []) => {
            Int(integer(*quantity).ok_or_else(|| Error::failed("cannot convert value to integer"))?)
        }
        ("asApproximateFloat", []) => Val::Double(quantity.as_f64()),
        ("sign", []) => Int(match quantity.cmp(&Quantity::ZERO) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        ("add", [Val::Quantity(other)]) => Val::Quantity(*quantity + *other),
        ("add", [Int(other)]) => Val::Quantity(*quantity + Quantity::new(*other, Format::DecimalExponent)),
        ("sub", [Val::Quantity(other)]) => Val::Quantity(*quantity - *other),
        ("sub", [Int(other)]) => Val::Quantity(*quantity - Quantity::new(*other, Format::DecimalExponent)),
        ("isGreaterThan", [Val::Quantity(other)]) => Bool(quantity > other),
        ("isLessThan", [Val::Quantity(other)]) => Bool(quantity < other),
        ("compareTo", [Val::Quantity(other)]) => Int(quantity.cmp(other) as i64),
        _ => return Err(Error::no_overload()),
    })
}

/// The whole number, where the quantity is one that fits.
fn integer(quantity: Quantity) -> Option<i64> {
    let value = quantity.value();
    (Quantity::new(value, Format::DecimalSi) == quantity).then_some(value)
}
