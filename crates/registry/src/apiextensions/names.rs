//! The names of definitions and the conditions that tell of them: decided one
//! definition after the other, those that have a name keep it.

use apimachinery::Value;
use apimachinery::field::quote;
use jiff::Timestamp;

use crate::conditions::{Told, find, is_true, set};

/// Gives `definition` the names that no other definition of its group has,
/// and says so in its conditions. Whether anything changed.
pub fn accept(definition: &mut Value, others: &[&Value], now: Timestamp) -> bool {
    if definition["spec"]["names"] == definition["status"]["acceptedNames"] {
        return false;
    }
    let before = definition.clone();
    let (accepted, conflict) = decide(definition, others);
    definition.entry("status").set("acceptedNames", accepted);
    match &conflict {
        None => {
            let (reason, message) = ("NoConflicts", "no conflicts found");
            set(definition, Told { kind: "NamesAccepted", status: true, reason, message }, now);
        }
        Some((reason, message)) => {
            set(definition, Told { kind: "NamesAccepted", status: false, reason, message }, now);
            if find(definition, "Established").is_none() {
                let (reason, message) = ("NotAccepted", "not all names are accepted");
                set(definition, Told { kind: "Established", status: false, reason, message }, now);
            }
        }
    }
    *definition != before
}

/// A definition whose names are accepted is established for good.
pub fn establish(definition: &mut Value, now: Timestamp) -> bool {
    if is_true(definition, "Established") || !is_true(definition, "NamesAccepted") {
        return false;
    }
    let (reason, message) = ("InitialNamesAccepted", "the initial names have been accepted");
    set(definition, Told { kind: "Established", status: true, reason, message }, now);
    true
}

/// The accepted names and the last conflict, as reason and message.
fn decide(definition: &Value, others: &[&Value]) -> (Value, Option<(&'static str, String)>) {
    let group = &definition["spec"]["group"];
    let mut resources: Vec<&str> = Vec::new();
    let mut kinds: Vec<&str> = Vec::new();
    for other in others.iter().filter(|other| other["spec"]["group"] == *group) {
        let names = &other["status"]["acceptedNames"];
        resources.extend([names["plural"].text(), names["singular"].text()]);
        resources.extend(names["shortNames"].items().iter().map(Value::text));
        kinds.extend([names["kind"].text(), names["listKind"].text()]);
    }
    let (requested, had) = (&definition["spec"]["names"], &definition["status"]["acceptedNames"]);
    let mut accepted = had.clone();
    let mut conflict = None;
    let in_use = |name: &str| format!("{} is already in use", quote(name));
    let mut one = |name: &'static str, used: &[&str], reason: &'static str, accepted: &mut Value| {
        let wanted = requested[name].text();
        if wanted != had[name].text() && used.contains(&wanted) {
            conflict = Some((reason, in_use(wanted)));
        } else {
            accepted.set(name, wanted);
        }
    };
    one("plural", &resources, "PluralConflict", &mut accepted);
    one("singular", &resources, "SingularConflict", &mut accepted);
    let taken: Vec<String> = requested["shortNames"]
        .items()
        .iter()
        .filter(|name| !had["shortNames"].items().contains(name) && resources.contains(&name.text()))
        .map(|name| in_use(name.text()))
        .collect();
    let short_names_conflict = match taken.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    };
    if short_names_conflict.is_none() {
        copy(&mut accepted, requested, "shortNames");
    }
    if let Some(message) = short_names_conflict {
        conflict = Some(("ShortNamesConflict", message));
    }
    let mut one = |name: &'static str, reason: &'static str, accepted: &mut Value| {
        let wanted = requested[name].text();
        if wanted != had[name].text() && kinds.contains(&wanted) {
            conflict = Some((reason, in_use(wanted)));
        } else {
            accepted.set(name, wanted);
        }
    };
    one("kind", "KindConflict", &mut accepted);
    one("listKind", "ListKindConflict", &mut accepted);
    copy(&mut accepted, requested, "categories");
    (accepted, conflict)
}

fn copy(accepted: &mut Value, requested: &Value, name: &'static str) {
    if requested[name].is_null() {
        accepted.remove(name);
    } else {
        accepted.set(name, requested[name].clone());
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn definition(plural: &str, kind: &str, short: &str) -> Value {
        let list_kind = format!("{kind}List");
        value!({
            "spec": {"group": "ex.com", "names": {
                "plural": plural, "singular": plural, "kind": kind, "listKind": list_kind, "shortNames": [short]
            }},
            "status": {"acceptedNames": {"plural": "", "kind": ""}}
        })
    }

    #[test]
    fn the_first_has_the_names_and_the_last_conflict_is_told() {
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        let mut apples = definition("apples", "Apple", "fruit");
        assert!(accept(&mut apples, &[], now));
        assert!(establish(&mut apples, now));
        assert_eq!(apples["status"]["acceptedNames"]["kind"].text(), "Apple");
        assert!(is_true(&apples, "Established"));
        assert!(!accept(&mut apples, &[], now));

        let mut pears = definition("pears", "Apple", "fruit");
        assert!(accept(&mut pears, &[&apples], now));
        assert!(!establish(&mut pears, now));
        let told = find(&pears, "NamesAccepted").unwrap();
        assert_eq!(told["reason"].text(), "ListKindConflict");
        assert_eq!(told["message"].text(), "\"AppleList\" is already in use");
        assert_eq!(pears["status"]["acceptedNames"]["plural"].text(), "pears");
        assert_eq!(pears["status"]["acceptedNames"]["kind"].text(), "");
        assert_eq!(find(&pears, "Established").unwrap()["reason"].text(), "NotAccepted");
        // The others go, and the names are free.
        assert!(accept(&mut pears, &[], now));
        assert!(establish(&mut pears, now));
    }
}
