//! Every parser and decoder that a client can reach, fed with damaged input.
//!
//! A target is a file below `targets/`: seeds, and a check that panics where
//! its invariant does not hold. The driver mutates seeds at random and keeps
//! what a target answers in a way not seen before. `tests/bounded.rs` runs
//! each for a moment in `make test`, and every input in `found/` again;
//! `CORTEN_FUZZ_SECONDS=3600 cargo test -p fuzz TARGET` runs one for an hour of
//! the processor's time, and with `CORTEN_FUZZ_KEEP=FILE` each input is in a
//! file before it is tried.
//!
//! It is a driver of its own because coverage-guided fuzzers (libFuzzer by
//! cargo-fuzz) need a nightly compiler, and this workspace builds with the
//! stable one alone. The answers' texts stand in for coverage: upstream has a
//! sentence for each thing that can be wrong.

mod driver;
mod mutate;
mod targets;

pub use driver::{Failure, replay, run};
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
