//! Waiting for what a cluster does in its own time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Asks until the answer is there; panics with the last refusal when `within` has passed.
#[allow(clippy::disallowed_methods)] // a test waits in real time
pub fn eventually<T, E: Display>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(refusal) if start.elapsed() > within => {
                panic!("{what}: not within {} s; at last: {refusal}", within.as_secs())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
