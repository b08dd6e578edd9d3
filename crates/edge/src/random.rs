//! Randomness: for names, uids, jitter. Keys and certificates draw their own
//! from the cryptographic library and never from here.

use parking_lot::Mutex;
use rand::{Rng, SeedableRng};

/// A source of random numbers.
pub trait Random: Send + Sync + 'static {
    fn next_u64(&self) -> u64;

    /// A number in `0..bound`. `bound` of 0 gives 0.
    fn below(&self, bound: u64) -> u64 {
        // The bias for bounds far below 2^64 is of no matter to names and jitter.
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number in `[0, 1)`.
    fn fraction(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The operating system's randomness, through a per-thread generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        rand::rng().next_u64()
    }
}

/// A repeatable sequence.
pub struct SeededRandom(Mutex<rand::rngs::StdRng>);

impl SeededRandom {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(rand::rngs::StdRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        let draw = |seed| {
            let random = SeededRandom::new(seed);
            (0..8).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn bounds_hold() {
        let random = SeededRandom::new(1);
        assert_eq!(random.below(0), 0);
        for _ in 0..1000 {
            assert!(random.below(5) < 5);
            assert!((0.0..1.0).contains(&random.fraction()));
        }
    }
}
