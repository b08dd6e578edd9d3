//! The libraries of lists and sets.

use std::cmp::Ordering;

use super::{numbers, strings};
use crate::error::Error;
use crate::value::Val;

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int};
    if function == "lists.range" {
        let [Int(count)] = args else { return Err(Error::no_overload()) };
        if *count < 0 {
            let why = format!("lists.range: size must be non-negative, got {count}");
            return Err(Error::failed(why));
        }
        return Ok(Val::list((0..*count).map(Int).collect()));
    }
    let items = args.first().and_then(Val::items).ok_or_else(Error::no_overload)?;
    Ok(match (function, &args[1..]) {
        ("isSorted", []) => {
            let mut sorted = true;
            for pair in items.windows(2) {
                sorted &= order(&pair[0], &pair[1])? != Ordering::Greater;
            }
            Bool(sorted)
        }
        ("sum", []) => {
            let zero = match items.first() {
                Some(first) => numbers::zero_like(first).ok_or_else(Error::no_overload)?,
                None => args[0].empty_sum(),
            };
            let mut sum = zero;
            for item in &items {
                sum = numbers::calculate("_+_", &sum, item)?;
            }
            sum
        }
        ("min" | "max", []) => {
            let wanted = if function == "min" { Ordering::Less } else { Ordering::Greater };
            let mut all = items.into_iter();
            let Some(mut best) = all.next() else {
                return Err(Error::failed(format!("{function} called on empty list")));
            };
            for item in all {
                if order(&item, &best)? == wanted {
                    best = item;
                }
            }
            best
        }
        ("indexOf", [item]) => {
            Int(items.iter().position(|have| have.equals(item)).map_or(-1, |at| at as i64))
        }
        ("lastIndexOf", [item]) => {
            Int(items.iter().rposition(|have| have.equals(item)).map_or(-1, |at| at as i64))
        }
        ("join", []) => strings::join(&items, "")?,
        ("join", [by]) => strings::join(&items, by.as_str().ok_or_else(Error::no_overload)?)?,
        ("slice", [Int(from), Int(to)]) => slice(&items, *from, *to)?,
        ("flatten", []) => Val::list(flattened(items, 1)),
        ("flatten", [Int(depth)]) => {
            let depth = u64::try_from(*depth).map_err(|_| Error::failed("level must be non-negative"))?;
            Val::list(flattened(items, depth))
        }
        ("distinct", []) => {
            let mut kept: Vec<Val<'a>> = Vec::new();
            for item in items {
                if !kept.iter().any(|have| have.equals(&item)) {
                    kept.push(item);
                }
            }
            Val::list(kept)
        }
        ("reverse", []) => Val::list(items.into_iter().rev().collect()),
        ("sort", []) => Val::list(sorted(items.iter().cloned().zip(items.iter().cloned()).collect())?),
        ("@sortByAssociatedKeys", [keys]) => {
            let keys = keys.items().ok_or_else(Error::no_overload)?;
            Val::list(sorted(keys.into_iter().zip(items).collect())?)
        }
        ("first", []) => Val::Optional(items.into_iter().next().map(std::rc::Rc::new)),
        ("last", []) => Val::Optional(items.into_iter().next_back().map(std::rc::Rc::new)),
        ("sets.contains", [part]) => Bool(holds_all(&items, &elements(part)?)),
        ("sets.equivalent", [other]) => {
            let other = elements(other)?;
            Bool(holds_all(&items, &other) && holds_all(&other, &items))
        }
        ("sets.intersects", [other]) => {
            let other = elements(other)?;
            Bool(items.iter().any(|item| other.iter().any(|have| have.equals(item))))
        }
        _ => return Err(Error::no_overload()),
    })
}

fn elements<'a>(list: &Val<'a>) -> Result<Vec<Val<'a>>, Error> {
    list.items().ok_or_else(Error::no_overload)
}

fn order<'a>(a: &Val<'a>, b: &Val<'a>) -> Result<Ordering, Error> {
    a.compare(b).ok_or_else(Error::no_overload)
}

fn holds_all<'a>(all: &[Val<'a>], part: &[Val<'a>]) -> bool {
    part.iter().all(|item| all.iter().any(|have| have.equals(item)))
}

fn slice<'a>(items: &[Val<'a>], from: i64, to: i64) -> Result<Val<'a>, Error> {
    if from < 0 || to < 0 {
        return Err(Error::failed(format!("cannot slice({from}, {to}), negative indexes not supported")));
    }
    if from > to {
        return Err(Error::failed(format!(
            "cannot slice({from}, {to}), start index must be less than or equal to end index"
        )));
    }
    let part = items.get(from as usize..to as usize);
    part.map(|part| Val::list(part.to_vec()))
        .ok_or_else(|| Error::failed(format!("cannot slice({from}, {to}), list is length {}", items.len())))
}

fn flattened(items: Vec<Val<'_>>, depth: u64) -> Vec<Val<'_>> {
    let mut flat = Vec::with_capacity(items.len());
    for item in items {
        match (depth > 0).then(|| item.items()).flatten() {
            Some(inner) => flat.extend(flattened(inner, depth - 1)),
            None => flat.push(item),
        }
    }
    flat
}

/// Values in the order of their keys.
fn sorted<'a>(mut pairs: Vec<(Val<'a>, Val<'a>)>) -> Result<Vec<Val<'a>>, Error> {
    let mut failed = None;
    pairs.sort_by(|(a, _), (b, _)| {
        order(a, b).unwrap_or_else(|error| {
            failed = Some(error);
            Ordering::Equal
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(pairs.into_iter().map(|(_, value)| value).collect()),
    }
}
