//! Runs a target: mutates, watches time, and tells the input that broke it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edge::SeededRandom;
use nix::time::{ClockId, clock_gettime};

use crate::Target;
use crate::coverage::Coverage;
use crate::mutate::mutate;

/// The processor's time that one input may take, in a build without
/// optimization.
const LONGEST: Duration = Duration::from_secs(4);
/// After so long an input counts as one that never ends.
const ENDLESS: Duration = Duration::from_secs(120);
/// How many inputs are kept that did what none before them did.
const KEPT: usize = 20_000;
/// The longest input.
const MOST_BYTES: usize = 64 * 1024;

/// What broke a target.
#[derive(Clone, Debug)]
pub struct Failure {
    pub input: Vec<u8>,
    pub why: String,
}

/// How far a target is.
#[derive(Default)]
struct Progress {
    /// The input that is being tried.
    input: Mutex<Vec<u8>>,
    tries: AtomicU64,
}

/// What a run without a failure did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Inputs tried.
    pub tries: u64,
    /// Inputs that did what none before them did.
    pub kept: usize,
    /// Branches taken; 0 in a build that does not count them.
    pub branches: usize,
}

/// Runs `target` on its seeds and on what becomes of them, until it has used
/// `budget` of the processor's time.
///
/// # Errors
/// The first input that breaks it.
pub fn run(target: Target, budget: Duration, seed: u64) -> Result<Outcome, Failure> {
    let progress = Arc::new(Progress::default());
    let shown = progress.clone();
    let (done, ended) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more where the input before was too slow.
        let _ = done.send(explore(target, budget, seed, &shown));
    });
    let mut before = 0;
    loop {
        if let Ok(outcome) = ended.recv_timeout(ENDLESS) {
            return outcome;
        }
        let tries = progress.tries.load(Ordering::Relaxed);
        if tries == before {
            let input = progress.input.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(Failure { input, why: "it does not end".into() });
        }
        before = tries;
    }
}

/// Runs one input.
///
/// # Errors
/// Why it breaks the target.
pub fn replay(target: Target, input: &[u8]) -> Result<String, Failure> {
    let before = spent();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let took = spent().saturating_sub(before);
    let failed = |why: String| Failure { input: input.to_vec(), why };
    match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(failed(text.unwrap_or("it panicked").to_owned()))
        }
        Ok(_) if took > LONGEST => Err(failed(format!("it took {took:?}"))),
        Ok(answer) => Ok(answer),
    }
}

/// The processor's time that this thread has used.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn explore(target: Target, budget: Duration, seed: u64, progress: &Progress) -> Result<Outcome, Failure> {
    let random = SeededRandom::new(seed);
    let kept = std::env::var_os("CORTEN_FUZZ_KEEP");
    let mut pool: Vec<Vec<u8>> = Vec::new();
    let mut seen = BTreeSet::new();
    let is_counted = Coverage::is_counted();
    let mut coverage = Coverage::default();
    // What ran before the first input is no news.
    coverage.grew();
    let mut attempt = |input: Vec<u8>, pool: &mut Vec<Vec<u8>>| {
        progress.input.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
        if let Some(file) = &kept {
            // What overflows the stack ends the process: only a file tells of it then.
            let _ = std::fs::write(file, &input);
        }
        let answer = replay(target, &input)?;
        progress.tries.fetch_add(1, Ordering::Relaxed);
        let new = if is_counted { coverage.grew() } else { seen.insert(shape(&answer)) };
        if new && pool.len() < KEPT {
            pool.push(input);
        }
        Ok(())
    };
    let end = spent() + budget;
    for input in (target.seeds)() {
        attempt(input, &mut pool)?;
    }
    while spent() < end {
        for _ in 0..16 {
            let mut input = mutate(&pool, &random);
            input.truncate(MOST_BYTES);
            attempt(input, &mut pool)?;
        }
    }
    let tries = progress.tries.load(Ordering::Relaxed);
    Ok(Outcome { tries, kept: pool.len(), branches: coverage.branches() })
}

/// An answer without what the input brought into it: numbers and quoted texts.
fn shape(answer: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    for letter in answer.chars().take(400) {
        match quote {
            Some(mark) if letter == mark => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '\'' | '`') => quote = Some(letter),
            None if letter.is_ascii_digit() => {}
            None => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn target(check: fn(&[u8]) -> String) -> Target {
        Target { name: "made up", seeds: || vec![b"{\"a\":1}".to_vec()], check }
    }

    #[test]
    fn what_breaks_a_target_is_found_and_told() {
        let found = run(
            target(|input| {
                assert!(!input.contains(&b'['), "a bracket");
                String::new()
            }),
            Duration::from_secs(20),
            1,
        );
        let failure = found.expect_err("a bracket is in the words that mutations use");
        assert!(failure.input.contains(&b'[') && failure.why.contains("a bracket"), "{failure:?}");
    }

    #[test]
    fn what_holds_runs_until_its_time_is_over() {
        let outcome = run(target(|_| "fine".into()), Duration::from_millis(50), 1).expect("holds");
        assert!(outcome.tries > 16, "{outcome:?}");
    }

    #[test]
    fn answers_are_told_apart_by_their_sentences() {
        assert_eq!(shape("line 3: no \"x\" here"), shape("line 14: no \"y\" here"));
        assert_ne!(shape("too long"), shape("too short"));
    }
}
