//! Server-side apply on a pod: a second time changes nothing, and nobody else
//! loses a field without force.

use api::facts::types;
use apimachinery::managed_fields::{Apply, Set, Shape, Single, Write, apply, update};
use apimachinery::schema::{self, Strictness, Type, normalize};
use apimachinery::{Value, json, yaml};

use super::{POD, pod};
use crate::Target;

pub const TARGET: Target = Target { name: "apply", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        POD,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels: {c: d}\nspec:\n  containers:\n  - name: a\n    image: i:2\n",
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","finalizers":["q/r"]},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}],"volumes":[]}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","spec":{"tolerations":[{"key":"k"}],"hostNetwork":null,"nodeSelector":{}}}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn write<'a>(manager: &'a str, reset: &'a Set) -> Write<'a> {
    let time = "2026-01-01T00:00:00Z";
    Write { manager, api_version: "v1", subresource: "", time, reset }
}

fn check(input: &[u8]) -> String {
    let config = match yaml::parse(input) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    let (id, mut live) = pod();
    let versions = Single { api_version: "v1", shape: Shape::of(types(), id) };
    let mut empty = schema::zero(types(), Type::Struct(id));
    empty.set("kind", "Pod");
    empty.set("apiVersion", "v1");
    let reset = Set::of_fields(&[&["status"]]);
    update(&versions, &empty, &mut live, &write("other", &reset));
    let attempt = |live: &Value, force: bool| {
        let request = Apply { config: &config, force, empty: &empty };
        apply(&versions, live, request, &write("mine", &reset))
    };
    // Without force, the other's fields stay as they are or the answer is a conflict.
    if let Ok(applied) = attempt(&live, false) {
        for place in [&["spec", "hostNetwork"][..], &["metadata", "labels", "a"]] {
            let at = |tree: &Value| place.iter().fold(tree.clone(), |tree, name| tree[*name].clone());
            assert_eq!(at(&applied.object), at(&live), "{place:?} is the other's");
        }
    }
    let first = match attempt(&live, true) {
        Ok(applied) => applied,
        Err(status) => return status.message,
    };
    let mut once = first.object;
    if let Err(error) = normalize(types(), id, &mut once, Strictness::Ignore) {
        return format!("not normal: {error}");
    }
    // Null counts as a key while it is applied, and is stored as something else: no such item is
    // found again. Upstream does the same, and validation refuses it.
    if json::to_string(&once["metadata"]["managedFields"]).contains(":null") {
        return "an item without its key".into();
    }
    let mut twice = attempt(&once, true).expect("what was applied can be applied again").object;
    normalize(types(), id, &mut twice, Strictness::Ignore).expect("normal, as before");
    assert_eq!(json::to_string(&twice), json::to_string(&once), "a second time changes nothing");
    if first.changed { "changed".into() } else { "the same".into() }
}
