//! Tasks around the code: `tidy` checks what rustc and clippy cannot.

mod demo;
mod tidy;

use std::path::PathBuf;
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
    /// Runs the example of `make run` against a cluster.
    Demo {
        #[arg(long)]
        kubeconfig: PathBuf,
        #[arg(long, default_value = "examples/nginx.yaml")]
        manifest: PathBuf,
    },
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
        Task::Demo { kubeconfig, manifest } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(demo::run(&kubeconfig, &manifest))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
