//! Table tests of the steps.

use serde::Deserialize;

use super::plan::{seconds, step};
use crate::cases::check;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    nodes: Vec<usize>,
}

#[test]
fn larger_clusters_keep_longer() {
    check(include_str!("cases.yaml"), "larger clusters keep longer", |case: Case| {
        let mut at = 0;
        let mut look = |nodes| {
            at = step(at, nodes);
            seconds(at)
        };
        case.nodes.into_iter().map(&mut look).collect::<Vec<_>>()
    });
}
