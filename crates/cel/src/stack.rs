//! Room on the stack: expressions nest, and whoever wrote one must not be able
//! to end the process by it. What recurses over them asks for room here.

use crate::syntax::MAX_SIZE;

/// What is left at least before more is taken.
const RED_ZONE: usize = 256 << 10;
const MORE: usize = 4 << 20;

/// Runs one step of a recursion over a tree.
pub fn with_room<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE, MORE, step)
}

/// Runs what makes a tree of `source`, and drops one that is too deep.
pub fn for_source<T>(source: &str, work: impl FnOnce() -> T) -> T {
    // Without optimisation the parser takes 150 KiB for each of 250 levels of
    // brackets, and its walk over a chain 1.6 KiB for each link, which has a
    // letter at least. Pages that are not touched cost nothing, and a longer
    // source is not parsed.
    let links = source.chars().take(MAX_SIZE).count();
    stacker::grow((64 << 20) + 3072 * links, work)
}
