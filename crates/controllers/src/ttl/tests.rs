//! Table tests of the steps.

use super::plan::{seconds, step};

#[test]
fn larger_clusters_keep_longer() {
    let mut at = 0;
    for (nodes, expected) in [
        (1, 0),
        (100, 0),
        (101, 15),
        // It goes back only when it is well below.
        (95, 15),
        (89, 0),
        (5000, 300),
        (1800, 300),
        (1799, 60),
        (10, 0),
    ] {
        at = step(at, nodes);
        assert_eq!(seconds(at), expected, "{nodes} nodes");
    }
}
