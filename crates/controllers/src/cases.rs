//! The tables of a controller's tests, which lie in `cases.yaml` beside its
//! `plan.rs`: how they are read and compared.
//!
//! The file holds tables by name, each of them a list of `cases`:
//!
//! ```yaml
//! what becomes of a node:
//!   given:                      # what all cases have in common, where there is any
//!     now: 2026-01-01T00:00:00Z
//!   cases:
//!   - case: it is cordoned      # a sentence that names it
//!     node: {spec: {unschedulable: true}}
//!     expected: [taint unschedulable:NoSchedule]
//! ```
//!
//! All but `case` and `expected` is what is observed, put on top of `given` as
//! a merge patch would: maps are merged, lists replaced, `null` removes.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apimachinery::patch::merge;
use apimachinery::{Value, yaml};
use client::Document;
use informer::Projection;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

/// The time at which most tables are looked at.
pub fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().expect("a time")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default = "Value::object")]
    given: Value,
    cases: Vec<Value>,
}

/// Runs every case of a table and fails once, naming all that differ.
///
/// What is observed (`O`) should deny members that it does not know, so that a
/// misspelled one fails. What `told` makes of it is compared with `expected`.
#[track_caller]
pub fn check<O: DeserializeOwned, E: Serialize>(file: &str, table: &str, told: impl Fn(O) -> E) {
    let (count, differing) = differences(file, table, told);
    assert!(
        differing.is_empty(),
        "{} of {count} cases differ: {table}\n\n{}",
        differing.len(),
        differing.join("\n")
    );
}

/// The number of cases, and what is to say of each that differs.
fn differences<O: DeserializeOwned, E: Serialize>(
    file: &str,
    table: &str,
    told: impl Fn(O) -> E,
) -> (usize, Vec<String>) {
    let read = yaml::to_json(file.as_bytes()).expect("cases.yaml is YAML");
    assert_eq!(read.problem, None, "cases.yaml");
    let tables: Value = serde_json::from_slice(&read.json).expect("YAML became JSON");
    let Table { given, cases } =
        tables[table].decode().unwrap_or_else(|error| panic!("cases.yaml: {table}: {error}"));
    assert!(!cases.is_empty(), "cases.yaml: {table}: there is no case");
    let mut names = BTreeSet::new();
    let count = cases.len();
    let differing = cases.into_iter().enumerate().filter_map(|(at, mut case)| {
        let name = case.remove("case").and_then(|name| name.as_str().map(str::to_owned));
        let name = name.unwrap_or_else(|| panic!("cases.yaml: {table}: case {at} has no name"));
        assert!(names.insert(name.clone()), "cases.yaml: {table}: two cases are called {name:?}");
        one(given.clone(), case, &told).map(|difference| format!("{name}\n{difference}"))
    });
    let differing = differing.collect();
    (count, differing)
}

/// How one case differs, where it does.
fn one<O: DeserializeOwned, E: Serialize>(
    given: Value,
    mut case: Value,
    told: &impl Fn(O) -> E,
) -> Option<String> {
    let Some(expected) = case.remove("expected") else { return Some("  tells nothing expected\n".into()) };
    let mut observed = given;
    merge::apply(&mut observed, case);
    let observed = match observed.decode::<O>() {
        Ok(observed) => observed,
        Err(error) => return Some(format!("  cannot be read: {error}\n")),
    };
    // What the panic says was printed when it happened.
    let Ok(actual) = catch_unwind(AssertUnwindSafe(|| told(observed))) else {
        return Some("  panicked\n".into());
    };
    let actual = Value::from_serialize(&actual).expect("what is told is a tree");
    (actual != expected).then(|| format!("  expected:\n{}  actual:\n{}", shown(&expected), shown(&actual)))
}

/// As indented YAML.
fn shown(value: &Value) -> String {
    let text = yaml::to_string(value).expect("trees are written");
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// An object as a user writes it, reduced to what matters: a member that its
/// kind does not have is an error, as in `kubectl apply`.
#[derive(Clone, Debug)]
pub struct Written<T>(pub T);

impl<T: Serialize> Written<T> {
    /// What a controller keeps of it.
    pub fn seen<P: Projection>(&self) -> P {
        let bytes = serde_json::to_vec(&self.0).expect("objects are written");
        P::project(&Document::new(bytes.into(), 0)).expect("what was written is read")
    }
}

impl Written<Secret> {
    /// As the server keeps it: `stringData` is data.
    pub fn stored(&self) -> Secret {
        let mut secret = self.0.clone();
        for (name, text) in secret.string_data.take().into_iter().flatten() {
            secret.data.get_or_insert_default().insert(name, ByteString(text.into_bytes()));
        }
        secret
    }
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: DeserializeOwned + Serialize> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        let object: T = written.decode().map_err(D::Error::custom)?;
        let kept = Value::from_serialize(&object).map_err(D::Error::custom)?;
        match lost(&written, &kept) {
            None => Ok(Self(object)),
            Some(path) => Err(D::Error::custom(format!("unknown field {path}"))),
        }
    }
}

/// The path of a member that is written and was not kept.
fn lost(written: &Value, kept: &Value) -> Option<String> {
    match written {
        Value::Null => None,
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let deeper = if kept.get(name).is_null() && !value.is_null() {
                Some(String::new())
            } else {
                lost(value, kept.get(name))
            };
            deeper.map(|path| format!(".{name}{path}"))
        }),
        Value::Array(items) => {
            let kept = kept.items();
            items
                .iter()
                .zip(kept)
                .enumerate()
                .find_map(|(at, (item, kept))| lost(item, kept).map(|path| format!("[{at}]{path}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sum {
        a: i64,
        #[serde(default)]
        b: i64,
        pod: Option<Written<Pod>>,
    }

    fn differing(cases: &str) -> Vec<String> {
        let file = format!("sums:\n  given: {{a: 1, b: 2}}\n  cases:\n{cases}");
        differences(&file, "sums", |sum: Sum| {
            let name = sum.pod.and_then(|pod| pod.0.metadata.name);
            (sum.a + sum.b).to_string() + &name.unwrap_or_default()
        })
        .1
    }

    #[test]
    fn cases_are_compared_and_told_apart() {
        let fine = r#"
  - {case: as given, expected: "3"}
  - {case: one is other, b: 3, expected: "4"}
  - {case: one is removed, b: null, expected: "1"}
  - {case: an object, pod: {metadata: {name: x}, spec: {nodeName: n1}}, expected: 3x}
"#;
        assert_eq!(differing(fine), Vec::<String>::new());
        for (case, expected) in [
            (r#"{case: x, expected: "4"}"#, "x\n  expected:\n    \"4\"\n  actual:\n    \"3\"\n"),
            ("{case: x}", "x\n  tells nothing expected\n"),
            ("{case: x, c: 1, expected: 4}", "unknown field `c`"),
            ("{case: x, pod: {metadata: {nam: x}}, expected: 4}", "unknown field .metadata.nam"),
            (
                "{case: x, pod: {spec: {containers: [{image: a}, {img: a}]}}, expected: 4}",
                "unknown field .spec.containers[1].img",
            ),
            ("{case: x, a: 9223372036854775807, expected: 4}", "x\n  panicked\n"),
        ] {
            let said = differing(&format!("  - {case}\n"));
            assert!(said[0].contains(expected), "{case}: {said:?}");
        }
    }

    /// A folder with a plan has tables, and its tests run each of them.
    #[test]
    fn every_table_is_run() {
        let folders = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.join("plan.rs").exists());
        let mut problems = Vec::new();
        for folder in folders {
            let name = folder.file_name().unwrap().display().to_string();
            let Ok(file) = fs::read(folder.join("cases.yaml")) else {
                problems.push(format!("{name} has no cases.yaml"));
                continue;
            };
            let tests = fs::read_to_string(folder.join("tests.rs")).unwrap();
            let tables: Value = serde_json::from_slice(&yaml::to_json(&file).unwrap().json).unwrap();
            for (table, _) in tables.members() {
                if !tests.contains(&format!("\"{table}\"")) {
                    problems.push(format!("{name} does not run {table:?}"));
                }
            }
        }
        assert!(problems.is_empty(), "{problems:#?}");
    }
}
