//! Merging lists: of objects by their key, of scalars as sets, and the order
//! of what comes out.

use std::collections::{HashMap, HashSet};

use super::{DIRECTIVE, Meta, Scope, bad_directive, bad_type, merge_map, no_merge_key};
use crate::patch::Error;
use crate::{Object, Value, go, json};

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
        let mut seen: HashSet<String> = HashSet::new();
        if deletes {
            seen.extend(patch.iter().map(mark));
            return Ok(object.into_iter().filter(|item| !seen.contains(&mark(item))).collect());
        }
        let all = object.iter().chain(&patch);
        let merged = all.filter(|item| seen.insert(mark(item))).cloned().collect();
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
    let mut deleted: HashSet<String> = HashSet::new();
    for item in patch {
        let Value::Object(members) = &item else { continue };
        let Some(directive) = members.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = members.get(key).ok_or_else(|| no_merge_key(members, key))?;
                deleted.insert(mark(value));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(Error::Unmergeable("merging lists cannot yet be specified in the patch".into()));
            }
            _ => return Err(bad_directive(directive, members)),
        }
    }
    if !deleted.is_empty() {
        object.retain(|item| member(item, key).is_none_or(|value| !deleted.contains(&mark(value))));
    }
    Ok(if replace { (plain, Vec::new()) } else { (object, plain) })
}

fn merge_objects(
    scope: Scope<'_>,
    mut object: Vec<Value>,
    patch: &[Value],
    key: &str,
) -> Result<Vec<Value>, Error> {
    let mut places = Places::of(&object, key).0;
    for item in patch {
        let Value::Object(members) = item else { continue };
        let value = members.get(key).ok_or_else(|| no_merge_key(members, key))?;
        let found = places.get(&mark(value)).and_then(|at| object[*at].as_object_mut());
        match found {
            Some(before) => *before = merge_map(scope, std::mem::take(before), members.clone())?,
            // As it is: nulls are zero values later, directives unknown fields.
            None => {
                places.insert(mark(value), object.len());
                object.push(item.clone());
            }
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
    let (in_patch, on_server) = (Places::of(patch, key), Places::of(server, key));
    if !key.is_empty() {
        // Upstream minds what it passes on its way to each item.
        let odd = patch.iter().position(|other| other.as_object().is_none());
        for item in &merged {
            keyed(item, key)?;
            if let Some(odd) = odd.filter(|odd| in_patch.place(item, key).is_none_or(|at| at > *odd)) {
                return Err(Error::Unmergeable(format!("value for key {odd} is not a map")));
            }
        }
        for item in patch.iter().chain(server) {
            keyed(item, key)?;
        }
    }
    let (patched, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| in_patch.place(item, key).is_some());
    let (patched, others) = (settled(patched, &in_patch, key), settled(others, &on_server, key));

    let mut woven = Vec::with_capacity(patched.len() + others.len());
    let mut patched = patched.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let first_other = match (others.peek(), patched.peek()) {
            (None, None) => return Ok(woven),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(item)) => match (on_server.place(other, key), on_server.place(item, key)) {
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

/// Items in the order in which `order` has them. Upstream's comparison calls
/// whatever is not there less than the rest, so that it ends up in front, the
/// last first.
fn settled(items: Vec<Value>, order: &Places, key: &str) -> Vec<Value> {
    let place = |item: Value| (order.place(&item, key), item);
    let mut placed: Vec<(Option<usize>, Value)> = items.into_iter().map(place).collect();
    if placed.iter().all(|(place, _)| place.is_some()) {
        placed.sort_by_key(|(place, _)| *place);
    } else {
        for end in 1..placed.len() {
            let mut at = end;
            while at > 0 && placed[at].0.zip(placed[at - 1].0).is_none_or(|(this, before)| this < before) {
                placed.swap(at, at - 1);
                at -= 1;
            }
        }
    }
    placed.into_iter().map(|(_, item)| item).collect()
}

/// Where in a list the items are, by key or, where the key is "", by value.
struct Places(HashMap<String, usize>);

impl Places {
    fn of(list: &[Value], key: &str) -> Self {
        let mut places = HashMap::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            if let Some(value) = counted(item, key) {
                places.entry(mark(value)).or_insert(at);
            }
        }
        Self(places)
    }

    fn place(&self, item: &Value, key: &str) -> Option<usize> {
        self.0.get(&mark(counted(item, key)?)).copied()
    }
}

/// What of an item counts.
fn counted<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    if key.is_empty() { Some(item) } else { member(item, key) }
}

/// A text that only an equal value has.
fn mark(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => {
            let mut sorted = value.clone();
            json::sort_deep(&mut sorted);
            json::to_string(&sorted)
        }
        other => json::to_string(other),
    }
}

fn member<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    item.as_object().and_then(|members: &Object| members.get(key))
}
