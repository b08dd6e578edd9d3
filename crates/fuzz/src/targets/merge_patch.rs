//! Merge patches on a pod: applied again and again they change nothing more.

use apimachinery::json;
use apimachinery::patch::merge;

use super::{bodies, pod};
use crate::Target;

pub const TARGET: Target = Target { name: "merge_patch", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = bodies();
    seeds.push(
        br#"{"metadata":{"labels":null,"annotations":{"a":"b"}},"spec":{"containers":[]},"status":null}"#
            .to_vec(),
    );
    seeds
}

fn check(input: &[u8]) -> String {
    let patch = match merge::parse(input) {
        Ok(patch) => patch,
        Err(error) => return error.to_string(),
    };
    let (_, mut patched) = pod();
    merge::apply(&mut patched, patch.value.clone());
    // What replaces an object keeps its nulls at first, and loses them where it
    // replaces itself, as with upstream's package: twice is what counts.
    merge::apply(&mut patched, patch.value.clone());
    let twice = json::to_string(&patched);
    merge::apply(&mut patched, patch.value);
    assert_eq!(json::to_string(&patched), twice, "once more changes nothing");
    "applied".into()
}
