//! Tasks around the code: `tidy` checks what rustc and clippy cannot.

mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Tasks around the code of Corten")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks layers, module docs, file names, and that ARCHITECTURE.md knows every room.
    Tidy,
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { task } = Arguments::parse();
    match task {
        Task::Tidy => {
            let found = tidy::check(&std::env::current_dir()?)?;
            for problem in &found {
                println!("tidy: {problem}");
            }
            println!("tidy: {} problems", found.len());
            Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
