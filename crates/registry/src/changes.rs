//! What strategies say about fields, in short: keep, drop, default.
//!
//! Pure functions on trees.

use apimachinery::Value;
use apimachinery::field::Path;

use crate::core::pod::defaults;

/// Sets `new.<field>` to what it was, removing it where it was not there.
pub fn keep(new: &mut Value, old: &Value, field: &'static str) {
    match &old[field] {
        Value::Null => {
            new.remove(field);
        }
        before => new.set(field, before.clone()),
    }
}

/// Sets `new.<parent>.<field>` to what it was.
pub fn keep_in(new: &mut Value, old: &Value, parent: &'static str, field: &'static str) {
    match &old[parent][field] {
        Value::Null => {
            if let Some(parent) = new.get_mut(parent) {
                parent.remove(field);
            }
        }
        before => new.entry(parent).set(field, before.clone()),
    }
}

/// Whether anything lies at `path`; `*` is each item or member.
pub fn has(at: &Value, path: &[&str]) -> bool {
    match path {
        [] => !at.is_null(),
        ["*", rest @ ..] => match at {
            Value::Array(items) => items.iter().any(|item| has(item, rest)),
            other => other.members().any(|(_, member)| has(member, rest)),
        },
        [name, rest @ ..] => has(&at[*name], rest),
    }
}

/// Drops what lies at `path`; `*` is each item or member.
pub fn drop_at(at: &mut Value, path: &[&str]) {
    match (path, at) {
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter_mut().for_each(|item| drop_at(item, rest));
        }
        (["*", rest @ ..], Value::Object(members)) => {
            members.raw_mut().iter_mut().for_each(|(_, member)| drop_at(member, rest));
        }
        ([last], at) => {
            at.remove(last);
        }
        ([name, rest @ ..], at) => {
            if let Some(below) = at.get_mut(name) {
                drop_at(below, rest);
            }
        }
        ([], _) => {}
    }
}

/// Drops what lies at `path`, as upstream does with fields of a feature that is
/// off, unless the object had it before.
pub fn drop_unless_used(object: &mut Value, old: &Value, path: &[&str]) {
    if !has(old, path) {
        drop_at(object, path);
    }
}

/// Puts the members of a map in the order of their names, as Go writes maps.
pub fn sort(map: &mut Value) {
    if let Some(map) = map.as_object_mut() {
        map.sort();
    }
}

/// Sets a field that is absent or empty text.
pub fn default_text(parent: &mut Value, field: &'static str, value: &str) {
    if parent[field].text().is_empty() && !matches!(parent[field], Value::Object(_) | Value::Array(_)) {
        parent.set(field, value);
    }
}

/// Makes a struct exist, so that the table of defaults fills it.
pub fn default_struct(parent: &mut Value, field: &'static str) {
    if parent[field].is_null() {
        parent.set(field, Value::object());
    }
}

/// The items of a list to change; none where there is no list.
pub fn items<'a>(parent: &'a mut Value, list: &str) -> &'a mut [Value] {
    parent.get_mut(list).map_or(&mut [], Value::items_mut)
}

/// Defaults of the pod template at `spec.template`.
pub fn default_template(object: &mut Value) {
    if let Some(template) = object.get_mut("spec").and_then(|spec| spec.get_mut("template")) {
        defaults::template(template);
    }
}

/// Makes `spec.<field>.rollingUpdate` exist where the strategy is to roll.
pub fn default_rolling_update(object: &mut Value, field: &'static str) {
    let strategy = object.entry("spec").entry(field);
    if matches!(strategy["type"].text(), "" | "RollingUpdate") {
        strategy.set("type", "RollingUpdate");
        default_struct(strategy, "rollingUpdate");
    }
}

/// Warnings about the pod template at `spec.template`, where the spec is new.
pub fn template_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    if !is_new_generation(object, old) {
        return Vec::new();
    }
    let path = Path::Root.child("spec");
    crate::core::pod::validation::template_warnings(&object["spec"]["template"], &path.child("template"))
}

/// Whether the object is new, or what is wanted of it.
pub fn is_new_generation(object: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old["metadata"]["generation"] != object["metadata"]["generation"])
}

/// Warnings about the name of a new object after which pods are named.
pub fn name_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let name = object["metadata"]["name"].text();
    if old.is_some() || name.is_empty() {
        return Vec::new();
    }
    let wrong = apimachinery::validation::dns1123_label(name);
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
         is recommended: {}",
        crate::rules::in_brackets(&wrong)
    )]
}

/// Both warnings of a workload.
pub fn workload_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = name_warnings(object, old);
    warnings.extend(template_warnings(object, old));
    warnings
}

/// What a status resets, in `Strategy::reset_fields`, that takes its metadata
/// with [`keep_metadata`].
pub fn metadata_of_status(subresource: &str) -> &'static [&'static [&'static str]] {
    if subresource == "status" { &[&["metadata"]] } else { &[] }
}

/// Takes metadata from `old` but for what the write itself is about: a write
/// of the status alone changes no labels, finalizers or owners.
pub fn keep_metadata(object: &mut Value, old: &Value) {
    let mut metadata = old["metadata"].clone();
    for field in ["managedFields", "resourceVersion", "uid", "deletionGracePeriodSeconds"] {
        match &object["metadata"][field] {
            Value::Null => {
                metadata.remove(field);
            }
            sent => metadata.set(field, sent.clone()),
        }
    }
    object.set("metadata", metadata);
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn fields_of_what_is_off_go_unless_they_were_there() {
        let path = ["spec", "devices", "*", "attributes", "*", "ints"];
        let made = || {
            value!({"spec": {"devices": [
                {"attributes": {"a": {"int": 1, "ints": [1]}, "b": {"ints": [2]}}}, {"name": "x"}
            ]}})
        };
        let mut new = made();
        drop_unless_used(&mut new, &Value::Null, &path);
        assert_eq!(
            new,
            value!({"spec": {"devices": [{"attributes": {"a": {"int": 1}, "b": {}}}, {"name": "x"}]}})
        );
        let mut kept = made();
        drop_unless_used(&mut kept, &made(), &path);
        assert_eq!(kept, made());
    }
}
