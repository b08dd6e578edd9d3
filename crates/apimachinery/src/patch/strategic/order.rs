//! `$setElementOrder/field`: the order in which the client wants a list, and
//! the merge of that list with it.

use super::{DIRECTIVE, SET_ELEMENT_ORDER, Scope, drop_directives, go_print, lists, target_of};
use crate::patch::Error;
use crate::{Object, Value};

/// Merges and orders every list that has the directive; takes both out of `patch`.
pub(super) fn apply(scope: Scope<'_>, object: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(SET_ELEMENT_ORDER)).map(str::to_owned).collect();
    for directive in directives {
        let malformed = || Error::Malformed("invalid patch format of setElementOrder list".into());
        let Some(Value::Array(wanted)) = patch.remove(&directive) else { return Err(malformed()) };
        let name = target_of(&directive, SET_ELEMENT_ORDER).ok_or_else(malformed)?;
        let meta = scope.field(name)?;
        let change = match patch.get(name) {
            None => None,
            Some(Value::Array(items)) => Some(items.clone()),
            // Null or another shape: left to the ordinary merge.
            Some(_) => continue,
        };
        agrees(change.as_deref().unwrap_or(&[]), &wanted, meta.merge_key)?;
        let before = match object.get_mut(name) {
            Some(Value::Array(items)) => Some(std::mem::take(items)),
            _ => None,
        };
        let server = before.clone().unwrap_or_default();
        let merged = match (before, change) {
            (None, None) => continue,
            (Some(before), None) => before,
            (None, Some(change)) => match drop_directives(Value::Array(change)) {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            (Some(before), Some(change)) => lists::merge_or_replace(meta, before, change, false)?,
        };
        patch.remove(name);
        let ordered = lists::in_order(meta.merge_key, merged, &wanted, &server)?;
        object.insert(name.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The items of the patch have to stand in the wanted order.
fn agrees(change: &[Value], wanted: &[Value], key: &str) -> Result<(), Error> {
    let same = |item: &Value, other: &Value| {
        if key.is_empty() { item == other } else { item[key] == other[key] }
    };
    let mut order = wanted.iter();
    let kept = change.iter().filter(|item| key.is_empty() || item[DIRECTIVE].is_null());
    for item in kept {
        if !order.any(|other| same(item, other)) {
            return Err(Error::Unmergeable(format!(
                "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
                go_print(&Value::Array(change.to_vec())),
                go_print(&Value::Array(wanted.to_vec())),
            )));
        }
    }
    Ok(())
}
