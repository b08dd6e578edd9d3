//! The time for a number of nodes. Pure.

/// The nodes' annotation.
pub const TTL: &str = "node.alpha.kubernetes.io/ttl";

/// From how many nodes to how many, and the seconds. They overlap, so that a
/// node that comes and goes does not change all others.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

/// The step for so many nodes, from where it was before.
pub fn step(mut step: usize, nodes: usize) -> usize {
    while nodes > STEPS[step].1 {
        step += 1;
    }
    while nodes < STEPS[step].0 {
        step -= 1;
    }
    step
}

pub fn seconds(step: usize) -> u32 {
    STEPS[step].2
}
