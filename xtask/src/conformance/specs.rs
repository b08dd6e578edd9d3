//! Upstream's specs: which there are, and how one is run. Knows no cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::shell::run;

/// The suite's name, which stands before each spec's when one is searched for.
const SUITE: &str = "Kubernetes e2e suite";

/// One spec.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spec {
    /// As upstream prints it, tags included.
    pub name: String,
    /// Nothing else may run meanwhile.
    pub alone: bool,
}

/// How a spec ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Passed,
    Failed,
    /// The spec itself said that it cannot run here.
    Skipped,
}

/// What is kept of a run of a spec.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Outcome {
    pub name: String,
    pub state: State,
    pub seconds: f64,
    /// The first failure's, or why it was skipped.
    pub message: String,
}

/// A spec's group: `sig-node`.
pub fn sig(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("none", |(sig, _)| sig)
}

/// Every spec that is called conformance, sorted by name.
pub fn list(suite: &Path) -> Result<Vec<Spec>> {
    // Some specs make folders while they are listed.
    let scratch = tempfile::tempdir()?;
    let mut command = Command::new(suite);
    command.arg("--list-tests").env("TMPDIR", scratch.path());
    let text = run(command)?;
    let specs: Vec<Spec> = names(&text)
        .filter(|name| name.contains("[Conformance]"))
        .map(|name| Spec { alone: ["[Serial]", "[Disruptive]"].iter().any(|tag| name.contains(tag)), name })
        .collect();
    if specs.is_empty() {
        bail!("the suite lists no specs: {text}");
    }
    Ok(specs)
}

/// The names in what `--list-tests` prints: `    place:line: name`.
fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter_map(|line| {
        let rest = line.strip_prefix("    ")?;
        let (place, name) = rest.split_once(": ")?;
        place.contains(".go:").then(|| name.trim_end().to_owned())
    })
}

/// The pattern that fits this spec alone.
pub fn pattern(name: &str) -> String {
    let mut out = format!("^{SUITE} ");
    for letter in name.chars() {
        if !letter.is_alphanumeric() && !matches!(letter, ' ' | '-' | '_' | ',' | ':' | '/' | '\'' | '"') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('$');
    out
}

/// How the suite's output says that its one spec ended.
pub fn outcome(name: &str, output: &str, ended_well: bool, seconds: f64) -> Outcome {
    // The mark also stands before a spec's time and before the place alone.
    let line = |mark: &str| {
        let rest =
            output.split(mark).skip(1).find(|rest| !rest.starts_with('[') && !rest.starts_with("in ["))?;
        let words = rest.lines().map(str::trim).take_while(|line| !line.starts_with("In ["));
        Some(words.filter(|line| !line.is_empty()).take(4).collect::<Vec<_>>().join(" "))
    };
    let ran = output.contains("Ran 1 of");
    let (state, message) = if ended_well && ran {
        (State::Passed, String::new())
    } else if let (true, Some(why)) = (ended_well, line("[SKIPPED] ")) {
        (State::Skipped, why)
    } else {
        let why = ["[FAILED] ", "[TIMEDOUT] ", "[PANICKED] ", "[INTERRUPTED] "].into_iter().find_map(line);
        let last =
            || output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        (State::Failed, why.unwrap_or_else(last))
    };
    Outcome { name: name.to_owned(), state, seconds, message }
}

/// A committed list of names: one a line, with `#` for words to the reader.
pub fn read_list(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Where a spec's outcome and output are kept.
pub fn file(directory: &Path, name: &str, ending: &str) -> PathBuf {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let words: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(120)
        .collect();
    directory.join(format!("{words}-{:016x}.{ending}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_list() {
        let text = "The following spec names can be used with 'ginkgo run --focus/skip':\n    a/b.go:12: [sig-node] Pods should: run [Conformance]\n\nRan 0\n";
        assert_eq!(names(text).collect::<Vec<_>>(), ["[sig-node] Pods should: run [Conformance]"]);
        assert_eq!(sig("[sig-node] Pods"), "sig-node");
    }

    #[test]
    fn a_pattern_fits_one_name() {
        assert_eq!(pattern("[a] b (c.d)"), r"^Kubernetes e2e suite \[a\] b \(c\.d\)$");
    }

    #[test]
    fn outputs_tell_their_end() {
        let state = |output: &str, well| outcome("x", output, well, 1.0).state;
        assert_eq!(state("Ran 1 of 7 Specs in 2 seconds", true), State::Passed);
        assert_eq!(state("S [SKIPPED] [1 s]\n  [SKIPPED] needs two nodes\n", true), State::Skipped);
        assert_eq!(state("Ran 0 of 7 Specs", true), State::Failed);
        let output = "[FAILED] [0.4 seconds]\nx\n  [FAILED] in [It] - x.go\n  [FAILED] no pod\n  came\n  In [It] at: x.go\nRan 1 of 7";
        let failed = outcome("x", output, false, 1.0);
        assert_eq!((failed.state, failed.message.as_str()), (State::Failed, "no pod came"));
        assert_eq!(outcome("x", "killed\n", false, 1.0).message, "killed");
    }
}
