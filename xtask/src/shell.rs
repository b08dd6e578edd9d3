//! Other programs, run to their end. Knows none of them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where things are kept between runs, as `scripts/environment` has it.
pub fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("CORTEN_CACHE").unwrap_or_else(|| {
        let home = || variable("HOME").unwrap_or_else(|| "/root".into()).join(".cache");
        variable("XDG_CACHE_HOME").unwrap_or_else(home).join("corten")
    })
}

/// A command of these words.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Runs to the end and gives standard output.
pub fn run(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!(
            "{name} {} ended with {}: {}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
