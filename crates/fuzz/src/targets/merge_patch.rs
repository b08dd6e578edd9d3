//! Merge patches on a pod: applied twice they do what they did once, and the
//! difference of two trees makes one of the other.

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
    let (_, before) = pod();
    let mut once = before.clone();
    merge::apply(&mut once, patch.value.clone());
    let mut twice = once.clone();
    merge::apply(&mut twice, patch.value);
    assert_eq!(json::to_string(&twice), json::to_string(&once), "a second time changes nothing");
    "applied".into()
}
