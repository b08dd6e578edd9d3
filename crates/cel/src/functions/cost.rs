//! What a call costs beside its arguments (cel-go's `costCall` and upstream's
//! `CostEstimator.CallCost`).

use crate::value::Val;

pub(crate) const TRAVERSAL: f64 = 0.1;
pub(crate) const REGEX: f64 = 0.25;
/// A call that makes a list.
pub(crate) const ALLOCATING: u64 = 11;
/// A parsed selector, and each requirement in it: one for every two characters.
pub(crate) const SELECTOR: u64 = 10;
pub(crate) const SELECTOR_PART: f64 = 50.0;

fn traversal(size: u64) -> u64 {
    scaled(size, TRAVERSAL)
}

fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// The cost that the arguments decide, or None where the result does (`join`).
pub(super) fn size(values: &[Val<'_>], at: usize) -> u64 {
    values.get(at).map_or(1, Val::size)
}

/// A pattern's cost on a text.
fn matching(text: u64, pattern: u64) -> u64 {
    traversal(text.saturating_add(1)).saturating_mul(scaled(pattern, REGEX))
}

/// See [`after`] for None.
pub(crate) fn before(function: &str, values: &[Val<'_>]) -> Option<u64> {
    let first = || size(values, 0);
    let second = || size(values, 1);
    let are_text = || values.iter().all(|value| matches!(value, Val::String(_) | Val::Bytes(_)));
    Some(match function {
        "check" => 350_000,
        "fieldSelector" | "labelSelector" => {
            let requirements = scaled(scaled(second(), 0.5), SELECTOR_PART);
            SELECTOR.saturating_add(traversal(second())).saturating_add(requirements)
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => traversed(values.first()),
        "url"
        | "jsonpatch.escapeKey"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver"
        | "strings.quote"
        | "format" => traversal(first()),
        "validate" => match values.first() {
            Some(Val::Format(format)) => matching(second(), format.pattern),
            _ => 1,
        },
        "reverse" if matches!(values.first(), Some(value) if value.items().is_some()) => {
            first().saturating_add(ALLOCATING)
        }
        "flatten" => {
            let depth = match values.get(1) {
                Some(Val::Int(depth)) => *depth as f64,
                _ => 1.0,
            };
            scaled(first(), depth).saturating_add(ALLOCATING)
        }
        // Charged before there are so many.
        "lists.range" => match values.first() {
            Some(Val::Int(count)) => u64::try_from(*count).unwrap_or(0).saturating_add(ALLOCATING),
            _ => 1,
        },
        "distinct" | "sort" => compared(values.first()),
        "@sortByAssociatedKeys" => compared(values.get(1)),
        "startsWith" | "endsWith" => traversal(second()),
        "replace" | "split" | "ip.isCanonical" => scaled(first(), 2.0 * TRAVERSAL),
        "join" => return None,
        "find" | "findAll" | "matches" => matching(first(), second()),
        "contains" => traversal(first()).saturating_mul(traversal(second())),
        "ip" => match values.first() {
            Some(Val::Cidr(_)) => 1,
            _ => traversal(first()),
        },
        "containsIP" | "containsCIDR" => {
            let mut cost = scaled(first(), 2.0 * TRAVERSAL);
            if function == "containsCIDR" {
                cost += traversal(first()) + 1;
            }
            if matches!(values.get(1), Some(Val::String(_))) {
                cost += traversal(second());
            }
            cost
        }
        "string" | "bytes" if are_text() => traversal(first()),
        "@in" if !matches!(values.get(1), Some(value) if value.entries().is_some()) => second(),
        "_==_" | "_!=_" => traversal(first().min(second())),
        "_<_" | "_<=_" | "_>_" | "_>=_" if are_text() => traversal(first().min(second())),
        "_+_" if are_text() => traversal(first().saturating_add(second())),
        "sets.equivalent" => first().saturating_mul(second()).saturating_mul(2).saturating_add(1),
        "sets.contains" | "sets.intersects" => first().saturating_mul(second()).saturating_add(1),
        _ => 1,
    })
}

/// The cost that the result decides.
pub(crate) fn after(result: &Val<'_>) -> u64 {
    scaled(result.size(), 2.0 * TRAVERSAL)
}

/// Each item of a list compared with each.
fn compared(list: Option<&Val<'_>>) -> u64 {
    let size = list.map_or(1, Val::size);
    let first = list.and_then(|list| list.items()?.into_iter().next());
    let factor = if matches!(first, Some(Val::String(_) | Val::Bytes(_))) { 2.1 } else { 2.0 };
    ((size.saturating_mul(size) as f64 * factor) as u64).saturating_add(ALLOCATING)
}

/// One pass over a list, its texts included, or over a text.
fn traversed(value: Option<&Val<'_>>) -> u64 {
    let Some(value) = value else { return 1 };
    match value.items() {
        Some(items) => {
            let of = |item: &Val<'_>| match item {
                Val::String(_) | Val::Bytes(_) => traversal(item.size()),
                _ => 0,
            };
            items.iter().fold(items.len() as u64, |sum, item| sum.saturating_add(of(item)))
        }
        None => traversal(value.size()),
    }
}
