//! The figures of SPECIFICATION.md, measured on the release program: one table
//! on standard output and one JSON file.
//!
//! `make bench` runs it. Server CPU is what the kernel charged to the server's
//! process; rates are information, for the load shares the machine.
#![allow(clippy::disallowed_methods)] // a bench runs in real time

mod api;
mod connection;
mod node;
mod process;
mod report;
mod scheduler;

use report::Report;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    let mut report = Report::default();
    if wanted("api") {
        api::measure(&mut report);
    }
    if wanted("restart") {
        api::restart(&mut report);
    }
    if wanted("scheduler") {
        scheduler::measure(&mut report);
    }
    if wanted("node") {
        node::measure(&mut report);
    }
    report.print();
    let file = std::env::var("CORTEN_BENCH_FILE").unwrap_or_else(|_| "target/bench.json".into());
    report.write(std::path::Path::new(&file));
}
