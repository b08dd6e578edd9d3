//! Each target for a moment, and whatever broke one before.

use std::path::PathBuf;
use std::time::Duration;

use fuzz::{Failure, Outcome, TARGETS, Target, replay, run};

/// How much of the processor's time each target gets.
fn budget() -> Duration {
    let asked = std::env::var("CORTEN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(asked.unwrap_or(1.0))
}

fn seed() -> u64 {
    std::env::var("CORTEN_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// This crate: as cargo says, for another checkout may have built this binary.
fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

fn tell(name: &str, failure: &Failure) -> String {
    let input = failure.input.escape_ascii();
    format!("{name}: {}\nkeep it as a file below crates/fuzz/found/{name}/: {input}", failure.why)
}

fn try_target(name: &str) {
    let target: Target =
        TARGETS.iter().copied().find(|target| target.name == name).expect("a target of the table");
    let found = here().join("found").join(name);
    for file in std::fs::read_dir(found).into_iter().flatten().flatten() {
        let input = std::fs::read(file.path()).expect("readable");
        if let Err(failure) = replay(target, &input) {
            panic!("{}: {}", file.path().display(), tell(name, &failure));
        }
    }
    match run(target, budget(), seed()) {
        Ok(Outcome { tries, kept, branches }) => {
            println!("{name}: {tries} inputs, {kept} kept, {branches} branches");
        }
        Err(failure) => panic!("{}", tell(name, &failure)),
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            try_target(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried() {
            let tried = [$(stringify!($name)),*];
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(known, tried);
        }
    };
}

targets! {
    json schema yaml protobuf json_patch merge_patch strategic_patch apply field_sets selectors scalars
    cel structural tokens certificates
}
