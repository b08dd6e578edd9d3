//! Tasks around the code: rules that rustc and clippy do not know, and
//! upstream's conformance suite with its images.

mod conformance;
mod demo;
mod images;
mod shell;
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
    /// Makes the images that upstream's specs name (conformance/images.toml).
    Images,
    /// Runs upstream's conformance specs.
    Conformance(conformance::Options),
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
        Task::Images => {
            for image in images::make(&std::env::current_dir()?)? {
                println!("{}", image.names.join(" "));
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Conformance(options) => {
            let well = conformance::conformance(&std::env::current_dir()?, &options)?;
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Task::Demo { kubeconfig, manifest } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(demo::run(&kubeconfig, &manifest))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
