//! `$setElementOrder/field`: the order in which the client wants a list, and
//! the merge of that list with it.

use super::{
    DIRECTIVE, LIST, Nulls, SET_ELEMENT_ORDER, Scope, bad_type, lists, no_merge_key, target_of,
    without_directives,
};
use crate::patch::Error;
use crate::{Object, Value, go};

/// Merges and orders every list that has the directive; takes both out of `patch`.
pub(super) fn apply(scope: Scope<'_>, object: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(SET_ELEMENT_ORDER)).map(str::to_owned).collect();
    for directive in directives {
        let malformed = || Error::Malformed("invalid patch format of setElementOrder list".into());
        let wanted = match patch.remove(&directive) {
            Some(Value::Array(wanted)) => wanted,
            other => return Err(bad_type(LIST, &other.unwrap_or_default())),
        };
        let name = target_of(&directive, SET_ELEMENT_ORDER).ok_or_else(malformed)?;
        let before = match object.get(name) {
            None => None,
            Some(Value::Array(items)) => Some(items.clone()),
            Some(other) => return Err(bad_type(LIST, other)),
        };
        let change = match patch.get(name) {
            None => None,
            Some(Value::Array(items)) => Some(items.clone()),
            Some(other) => return Err(bad_type(LIST, other)),
        };
        let meta = scope.list(name)?;
        agrees(change.as_deref().unwrap_or(&[]), &wanted, meta.merge_key)?;
        let server = before.clone().unwrap_or_default();
        let sent = change.clone().unwrap_or_default();
        let merged = match (before, change) {
            (None, None) => continue,
            (Some(before), None) => before,
            (None, Some(change)) => match without_directives(Value::Array(change), Nulls::Stay) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
            (Some(before), Some(change)) => lists::merge_or_replace(meta, before, change, false)?,
        };
        if server.is_empty() && sent.is_empty() {
            return Err(Error::Unmergeable("no elements in any of the given slices".into()));
        }
        let ordered = lists::in_order(meta.merge_key, merged, &wanted, &server)?;
        patch.remove(name);
        object.insert(name.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The items of the patch have to stand in the wanted order.
fn agrees(change: &[Value], wanted: &[Value], key: &str) -> Result<(), Error> {
    if change.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let value = |item: &Value| -> Result<Value, Error> {
        if key.is_empty() {
            return Ok(item.clone());
        }
        let members = item.as_object().ok_or_else(|| bad_type(go::MAP, item))?;
        members.get(key).cloned().ok_or_else(|| no_merge_key(members, key))
    };
    if !key.is_empty()
        && let Some(odd) = change.iter().find(|item| item.as_object().is_none())
    {
        return Err(bad_type(go::MAP, odd));
    }
    let mut order = wanted.iter();
    for item in change {
        let directive = item.as_object().and_then(|members| members.get(DIRECTIVE));
        if !key.is_empty() && directive.and_then(Value::as_str) == Some("delete") {
            continue;
        }
        loop {
            let Some(other) = order.as_slice().first() else {
                return Err(Error::Unmergeable(format!(
                    "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
                    go::plain(&Value::Array(change.to_vec())),
                    go::plain(&Value::Array(wanted.to_vec())),
                )));
            };
            if directive.is_some() {
                break;
            }
            let same = value(item)? == value(other)?;
            order.next();
            if same {
                break;
            }
        }
    }
    Ok(())
}
