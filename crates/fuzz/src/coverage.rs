//! Which branches an input took, where the build counts them
//! (`scripts/fuzz` asks the compiler to; everywhere else there are none).
//!
//! The compiler gives each branch a byte and tells of the bytes at the start of
//! the program, as LLVM's SanitizerCoverage documents it ("inline 8-bit
//! counters"). They are the process's: one target runs at a time.

use std::sync::{Mutex, PoisonError};

/// The counters, as address and length.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by what the compiler adds to each object file, before `main`.
///
/// # Safety
/// `start` to `stop` are bytes that live and can be written to as long as the
/// process lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let region = (start.addr(), stop.addr() - start.addr());
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Object files share one region after linking, and each tells of it.
    if region.1 > 0 && !counters.contains(&region) {
        counters.push(region);
        start.expose_provenance();
    }
}

/// What all inputs together have reached.
#[derive(Default)]
pub struct Coverage {
    /// For each counter the magnitudes that it had, a bit for each.
    seen: Vec<u8>,
}

impl Coverage {
    /// Takes the counts of the input that has just run, which clears them.
    /// Whether any branch was taken that never was, or by another order of
    /// magnitude.
    pub fn grew(&mut self) -> bool {
        let regions = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = false;
        let mut at = 0;
        for &(address, length) in regions.iter() {
            self.seen.resize(self.seen.len().max(at + length), 0);
            // SAFETY: as the compiler's call promised. Instrumented code adds to these
            // bytes on this thread alone; what another thread loses or adds is a count.
            let counters = unsafe {
                std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), length)
            };
            new |= merge(counters, &mut self.seen[at..at + length]);
            at += length;
        }
        new
    }

    /// Whether this build counts branches.
    pub fn is_counted() -> bool {
        !COUNTERS.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// How many branches were taken by any input.
    pub fn branches(&self) -> usize {
        self.seen.iter().filter(|magnitudes| **magnitudes != 0).count()
    }
}

/// Adds `counters` to `seen` and clears them.
fn merge(counters: &mut [u8], seen: &mut [u8]) -> bool {
    let mut new = false;
    // Nearly all are zero and are passed over, so many at once as a processor can.
    for (counters, seen) in counters.chunks_mut(128).zip(seen.chunks_mut(128)) {
        if counters.iter().fold(0, |any, count| any | count) == 0 {
            continue;
        }
        for (count, seen) in counters.iter_mut().zip(seen) {
            let bit = magnitude(*count);
            new |= bit & !*seen != 0;
            *seen |= bit;
            *count = 0;
        }
    }
    new
}

/// One bit for none, once, twice, … and then each order of magnitude.
fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 1 << 1,
        3 => 1 << 2,
        4..8 => 1 << 3,
        8..16 => 1 << 4,
        16..32 => 1 << 5,
        32..128 => 1 << 6,
        128.. => 1 << 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_new_once_for_each_order_of_magnitude() {
        let mut seen = [0; 11];
        let mut run = |at: usize, count: u8| {
            let mut counters = [0; 11];
            counters[at] = count;
            let new = merge(&mut counters, &mut seen);
            assert_eq!(counters, [0; 11], "cleared for the next input");
            new
        };
        assert!(run(9, 1) && !run(9, 1), "taken once is new once");
        assert!(run(9, 9) && !run(9, 15), "and so is about ten times");
        assert!(run(0, 9) && !run(10, 0), "each branch for itself");
    }
}
