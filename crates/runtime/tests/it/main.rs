//! Tests with real containers. They need root and a static busybox, and have a
//! `main` of their own because the spawner starts before any thread.
//!
//! `cargo test -p runtime --test it [FILTER]`

mod adoption;
mod fixture;
mod isolation;
mod lifecycle;
mod streams;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use fixture::Node;
use futures::FutureExt;

type Test = (&'static str, fn(Node) -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |node| Box::pin($module::$name(node)))),*]
    };
}

/// All tests, in the order in which they run.
const TESTS: &[Test] = tests![
    lifecycle::a_container_runs_logs_and_exits,
    lifecycle::logs_are_reopened_after_rotation,
    lifecycle::stopping_gives_grace_then_kills,
    lifecycle::what_cannot_start_says_why,
    lifecycle::running_out_of_memory_is_told,
    lifecycle::stats_and_limits_are_the_cgroups,
    lifecycle::thirty_pods_at_once,
    streams::exec_gives_output_and_exit_code,
    streams::exec_times_out_and_is_killed,
    streams::exec_takes_stdin_to_its_end,
    streams::exec_has_a_terminal_with_a_size,
    streams::attach_sees_output_and_gives_input,
    streams::a_containers_own_terminal,
    streams::ports_of_the_sandbox_can_be_reached,
    isolation::namespaces_are_the_pods,
    isolation::user_and_capabilities_hold,
    isolation::root_can_be_read_only,
    isolation::seccomp_holds_for_container_and_exec,
    isolation::devices_are_refused,
    isolation::shared_processes_have_an_init_that_reaps,
    isolation::the_program_cannot_be_overwritten,
    isolation::host_namespaces_are_the_nodes,
    adoption::containers_survive_the_program,
    adoption::a_dead_shim_is_cleaned_up,
];

fn main() -> ExitCode {
    let spawner = runtime::spawner::start().expect("the spawner starts");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a tokio runtime");
    if arguments.first().is_some_and(|a| a == adoption::CHILD) {
        tokio.block_on(adoption::child(&arguments[1], spawner));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|a| a == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !fixture::can_run() {
        println!("skipped: needs root and /bin/busybox");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let mut failed = Vec::new();
    for (name, test) in TESTS
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str())))
    {
        let started = tokio::time::Instant::now();
        let outcome = tokio.block_on(async {
            let node = Node::open(spawner.clone()).await;
            let (cleaner, before) = (node.clone(), fixture::Leftovers::count(&node));
            let run = AssertUnwindSafe(tokio::time::timeout(Duration::from_secs(60), test(node)))
                .catch_unwind()
                .await;
            let cleaned = AssertUnwindSafe(cleaner.clean(before)).catch_unwind().await;
            matches!(run, Ok(Ok(()))) && cleaned.is_ok()
        });
        println!(
            "test {name} ... {} ({} ms)",
            if outcome { "ok" } else { "FAILED" },
            started.elapsed().as_millis()
        );
        if !outcome {
            failed.push(*name);
        }
    }
    drop(tokio);
    spawner.end(&[]);
    println!("\n{} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
