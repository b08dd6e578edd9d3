//! The program: flags, assembly, order of start and stop. It holds no logic of
//! Kubernetes.

mod addons;
mod address;
mod apiserver_role;
mod cli;
mod connector;
mod control_plane;
mod down;
mod elected;
mod images;
mod join;
mod log;
mod machine;
mod memory;
mod node;
mod preflight;
mod reach;
mod signer;
mod up;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};

fn main() -> ExitCode {
    memory::give_back_soon();
    if std::env::args_os().nth(1).is_some_and(|argument| argument == runtime::spawner::ARGUMENT) {
        // In the spawner's own process this never returns.
        return runtime::spawner::start().map_or_else(|error| refuse(&error.into()), |_| ExitCode::SUCCESS);
    }
    let Cli { command } = Cli::parse();
    // Two libraries bring providers of cryptography: this one is meant.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match command {
        // The spawner comes before any thread: every shim is forked from it.
        Command::Up(options) => {
            runtime::spawner::start().map_err(Into::into).and_then(|spawner| up::run(&options, spawner))
        }
        Command::Join(options) => {
            runtime::spawner::start().map_err(Into::into).and_then(|spawner| join::run(&options, spawner))
        }
        Command::Down(options) => {
            runtime::spawner::start().map_err(Into::into).and_then(|spawner| down::run(&options, spawner))
        }
        Command::Apiserver(options) => apiserver_role::run(&options),
        Command::ControllerManager(options) => elected::controller_manager(&options),
        Command::Scheduler(options) => elected::scheduler(&options),
        Command::Image(command) => images::run(command),
        Command::Version => {
            println!("{}", version::VERSION);
            Ok(())
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "corten", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// One sentence on standard error, its causes behind colons.
fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("corten: {error:#}");
    ExitCode::FAILURE
}
