//! Every parser and decoder that a client can reach, fed with damaged input.
//!
//! A target is a file below `targets/`: seeds, and a check that panics where
//! its invariant does not hold. The driver mutates seeds at random and keeps
//! what a target answers in a way not seen before: upstream has a sentence for
//! each thing that can be wrong. `tests/bounded.rs` runs each for a moment in
//! `make test`, and every input in `found/` again.
//!
//! `scripts/fuzz MINUTES [TARGET…]` builds the same driver with the compiler's
//! counters of branches, and gives each target that much of the processor's
//! time: there an input is kept that takes a branch as none did before. With
//! `CORTEN_FUZZ_KEEP=FILE` each input is in a file before it is tried.
//!
//! The driver is its own because cargo-fuzz needs a nightly compiler, and this
//! workspace builds with the stable one alone; the counters need none.

mod coverage;
mod driver;
mod mutate;
mod targets;

pub use driver::{Failure, Outcome, replay, run};
pub use targets::TARGETS;

/// Something to feed.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Tells in a word or a sentence what became of the input.
    ///
    /// # Panics
    /// Where the invariant does not hold.
    pub check: fn(&[u8]) -> String,
}
