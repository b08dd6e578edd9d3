//! Merging lists: of objects by their key, of scalars as sets, and the order
//! of what comes out.

use super::{DIRECTIVE, Meta, Scope, bad_directive, bad_type, merge_map, no_merge_key};
use crate::patch::Error;
use crate::{Object, Value, go};

/// Merges a list by what its field declares; lists without a strategy are replaced.
pub(super) fn merge_or_replace(
    meta: Meta<'_>,
    object: Vec<Value>,
    patch: Vec<Value>,
    deletes: bool,
) -> Result<Vec<Value>, Error> {
    if meta.merge || deletes { merge(meta, object, patch, deletes) } else { Ok(patch) }
}

fn merge(meta: Meta<'_>, object: Vec<Value>, patch: Vec<Value>, deletes: bool) -> Result<Vec<Value>, Error> {
    if object.is_empty() && patch.is_empty() {
        return Ok(object);
    }
    if !of_objects(&object, &patch)? {
        if deletes {
            return Ok(object.into_iter().filter(|item| !patch.contains(item)).collect());
        }
        let mut merged: Vec<Value> = Vec::with_capacity(object.len() + patch.len());
        for item in object.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return in_order("", merged, &patch, &object);
    }
    if meta.merge_key.is_empty() {
        // Upstream names the kind of the item's type, which is always this one.
        return Err(Error::Unmergeable("cannot merge lists without merge key for struct".into()));
    }
    let (object, patch) = follow_directives(object, patch, meta.merge_key)?;
    let server_order = object.clone();
    let merged = merge_objects(meta.scope, object, &patch, meta.merge_key)?;
    in_order(meta.merge_key, merged, &patch, &server_order)
}

/// Whether the items are objects; all have to be of one kind.
pub(super) fn of_objects(object: &[Value], patch: &[Value]) -> Result<bool, Error> {
    let mut items = object.iter().chain(patch);
    let Some(first) = items.next() else { return Ok(false) };
    if matches!(first, Value::Array(_)) {
        return Err(Error::DoesNotApply("lists of lists are not supported".into()));
    }
    if first.is_null() || items.any(|item| std::mem::discriminant(item) != std::mem::discriminant(first)) {
        let lists: Vec<String> = [object, patch]
            .map(|list| format!("[{}]", list.iter().map(go::plain).collect::<Vec<_>>().join(" ")))
            .into();
        let why = format!("list element types are not identical: [{}]", lists.join(" "));
        return Err(Error::Unmergeable(why));
    }
    Ok(matches!(first, Value::Object(_)))
}

/// Obeys `$patch` in items: `delete` takes the item with the same key away,
/// `replace` makes the rest of the patch the whole list.
fn follow_directives(
    mut object: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(members) = &item else { continue };
        let Some(directive) = members.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = members.get(key).ok_or_else(|| no_merge_key(members, key))?;
                object.retain(|other| other.as_object().and_then(|other| other.get(key)) != Some(value));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(Error::Unmergeable("merging lists cannot yet be specified in the patch".into()));
            }
            _ => return Err(bad_directive(directive, members)),
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (object, plain) })
}

fn merge_objects(
    scope: Scope<'_>,
    mut object: Vec<Value>,
    patch: &[Value],
    key: &str,
) -> Result<Vec<Value>, Error> {
    for item in patch {
        let Value::Object(members) = item else { continue };
        let value = members.get(key).ok_or_else(|| no_merge_key(members, key))?;
        let found =
            object.iter_mut().filter_map(Value::as_object_mut).find(|other| other.get(key) == Some(value));
        match found {
            Some(before) => *before = merge_map(scope, std::mem::take(before), members.clone())?,
            // As it is: nulls are zero values later, directives unknown fields.
            None => object.push(item.clone()),
        }
    }
    Ok(object)
}

/// Puts `merged` in order: items of `patch` as the patch has them, the others
/// as the server had them, woven together by the server's order.
pub(super) fn in_order(
    key: &str,
    merged: Vec<Value>,
    patch: &[Value],
    server: &[Value],
) -> Result<Vec<Value>, Error> {
    if !key.is_empty() {
        for item in &merged {
            find(patch, keyed(item, key)?, key)?;
        }
        for item in patch.iter().chain(server) {
            keyed(item, key)?;
        }
    }
    let (patched, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(patch, item, key).is_some());
    let (patched, others) = (settled(patched, patch, key), settled(others, server, key));

    let mut woven = Vec::with_capacity(patched.len() + others.len());
    let mut patched = patched.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let first_other = match (others.peek(), patched.peek()) {
            (None, None) => return Ok(woven),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(item)) => match (place(server, other, key), place(server, item, key)) {
                (Some(left), Some(right)) => left < right,
                _ => false,
            },
        };
        woven.extend(if first_other { others.next() } else { patched.next() });
    }
}

/// The key of an item, which has to have one.
fn keyed<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Error> {
    let members = item.as_object().ok_or_else(|| bad_type(go::MAP, item))?;
    members.get(key).ok_or_else(|| no_merge_key(members, key))
}

/// Looks for an item as upstream does, which minds what it passes on its way.
fn find(list: &[Value], value: &Value, key: &str) -> Result<(), Error> {
    for (at, other) in list.iter().enumerate() {
        let Some(members) = other.as_object() else {
            return Err(Error::Unmergeable(format!("value for key {at} is not a map")));
        };
        if members.get(key) == Some(value) {
            break;
        }
    }
    Ok(())
}

/// Items in the order in which `order` has them. Upstream's comparison calls
/// whatever is not there less than the rest, so that it ends up in front, the
/// last first.
fn settled(mut items: Vec<Value>, order: &[Value], key: &str) -> Vec<Value> {
    let mut places: Vec<Option<usize>> = items.iter().map(|item| place(order, item, key)).collect();
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && places[at].zip(places[at - 1]).is_none_or(|(this, before)| this < before) {
            items.swap(at, at - 1);
            places.swap(at, at - 1);
            at -= 1;
        }
    }
    items
}

/// Where in `list` the item is that counts as `item`: by key, or by value.
fn place(list: &[Value], item: &Value, key: &str) -> Option<usize> {
    if key.is_empty() {
        return list.iter().position(|other| other == item);
    }
    let value = member(item, key)?;
    list.iter().position(|other| member(other, key) == Some(value))
}

fn member<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    item.as_object().and_then(|members: &Object| members.get(key))
}
