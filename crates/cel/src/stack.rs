//! Room on the stack: expressions nest, and whoever wrote one must not be able
//! to end the process by it. What recurses over them asks for room here.

/// What is left at least before more is taken.
const RED_ZONE: usize = 256 << 10;
const MORE: usize = 4 << 20;

/// Runs one step of a recursion over a tree.
pub fn with_room<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE, MORE, step)
}

/// Runs what makes a tree of `source`, and drops one that is too deep.
pub fn for_source<T>(source: &str, work: impl FnOnce() -> T) -> T {
    // A level of nesting has a letter at least, and is dropped with a few
    // hundred bytes; pages that are not touched cost nothing.
    stacker::grow((8 << 20) + 512 * source.len(), work)
}
