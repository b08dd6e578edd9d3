//! The figures of SPECIFICATION.md, measured on the release program: one table
//! on standard output and one JSON file.
//!
//! `make bench` runs it. Server CPU is what the kernel charged to the server's
//! process; rates are information, for the load shares the machine.
#![allow(clippy::disallowed_methods)] // a bench runs in real time

mod api;
mod connection;
mod hollow;
mod node;
mod process;
mod report;
mod scheduler;
mod workloads;

use report::Report;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    raise_open_files();
    let mut report = Report::default();
    if wanted("api") {
        api::measure(&mut report);
    }
    let alone = |part: &str| arguments.iter().any(|argument| argument == part);
    if alone("lists") {
        api::lists(&mut report);
    }
    if alone("watches") {
        api::watches(&mut report);
    }
    if wanted("restart") {
        api::restart(&mut report);
    }
    if wanted("scheduler") {
        scheduler::measure(&mut report);
    }
    if wanted("workloads") {
        workloads::measure(&mut report);
    }
    if wanted("node") {
        node::measure(&mut report);
    }
    report.print();
    let file = std::env::var("CORTEN_BENCH_FILE").unwrap_or_else(|_| "target/bench.json".into());
    report.write(std::path::Path::new(&file));
}

/// A connection is a file, and there are ten thousand.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to what is allowed");
}
