//! What a definition's schemas are warned of: formats that nobody checks, and
//! sets of what is no scalar.

use std::collections::BTreeSet;

use apimachinery::Value;
use apimachinery::field::quote;
use apimachinery::structural::knows_format;

/// The warnings of a definition that is new, or that `old` did not earn.
pub(super) fn of(object: &Value, old: Option<&Value>) -> Vec<String> {
    let (mut formats, mut sets) = collect(object);
    if let Some(old) = old {
        let (known, had) = collect(old);
        formats.retain(|format| !known.contains(format));
        sets.retain(|set| !had.contains(set));
    }
    let told = formats.into_iter().map(|format| format!("unrecognized format {}", quote(&format)));
    told.chain(sets).collect()
}

fn collect(object: &Value) -> (Vec<String>, BTreeSet<String>) {
    let (mut formats, mut sets) = (Vec::new(), BTreeSet::new());
    for version in object["spec"]["versions"].items() {
        walk(&version["schema"]["openAPIV3Schema"], &mut |schema| {
            let (kind, format) = (schema["type"].text(), schema["format"].text());
            if !format.is_empty() && !knows_format(kind, format) {
                formats.push(format.to_owned());
            }
            let item = schema["items"]["type"].text();
            if schema["x-kubernetes-list-type"].text() == "set" && matches!(item, "object" | "array") {
                sets.insert(format!(
                    "x-kubernetes-list-type: set for items of type {} is not supported by server-side apply or CEL \
                     validation rules",
                    quote(item)
                ));
            }
        });
    }
    (formats, sets)
}

/// The schema and all schemas in it.
fn walk(schema: &Value, see: &mut impl FnMut(&Value)) {
    if schema.as_object().is_none() {
        return;
    }
    see(schema);
    walk(&schema["items"], see);
    for field in ["items", "allOf", "anyOf", "oneOf"] {
        schema[field].items().iter().for_each(|below| walk(below, see));
    }
    walk(&schema["not"], see);
    schema["properties"].members().for_each(|(_, below)| walk(below, see));
    walk(&schema["additionalProperties"], see);
    schema["patternProperties"].members().for_each(|(_, below)| walk(below, see));
    walk(&schema["additionalItems"], see);
    for field in ["definitions", "dependencies"] {
        schema[field].members().for_each(|(_, below)| walk(below, see));
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn what_was_there_before_is_not_told_again() {
        let made = |format: &str| {
            let schema =
                value!({"type": "object", "properties": {"a": {"type": "string", "format": format}}});
            value!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}})
        };
        let expected = ["unrecognized format \"odd\""];
        assert_eq!(of(&made("odd"), None), expected);
        assert_eq!(of(&made("odd"), Some(&made("uri"))), expected);
        assert!(of(&made("odd"), Some(&made("odd"))).is_empty());
    }
}
