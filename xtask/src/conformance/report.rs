//! What a run found, as `conformance/report.md` and as JUnit. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::specs::{Outcome, Spec, State, sig};

/// Why a spec fails, as somebody found out (`conformance/causes.toml`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// One line: what is missing or wrong.
    pub cause: String,
    /// The room it belongs to, or `kernel` with the kernel's word in `cause`.
    pub area: String,
    /// Parts of the names of the specs that fail for it.
    pub specs: Vec<String>,
}

/// The rows of `conformance/causes.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Causes {
    #[serde(default)]
    pub cause: Vec<Cause>,
}

impl Causes {
    fn of(&self, name: &str) -> Option<&Cause> {
        self.cause.iter().find(|cause| cause.specs.iter().any(|part| name.contains(part.as_str())))
    }
}

/// The report's text.
pub fn markdown(specs: &[Spec], outcomes: &BTreeMap<String, Outcome>, causes: &Causes) -> String {
    let count = |state| outcomes.values().filter(|outcome| outcome.state == state).count();
    let mut out = String::from(
        "# Conformance\n\nWritten by `make conformance`: upstream's [Conformance] specs of Kubernetes v1.37.2, unchanged.\n\n",
    );
    let _ = writeln!(
        out,
        "**{} of {} pass**; {} fail, {} say that they cannot run here, {} have not been run.\n",
        count(State::Passed),
        specs.len(),
        count(State::Failed),
        count(State::Skipped),
        specs.len() - outcomes.len()
    );
    out.push_str("| group | specs | pass | fail | skip | not run |\n|---|---|---|---|---|---|\n");
    let mut groups: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for spec in specs {
        let row = groups.entry(sig(&spec.name)).or_default();
        row[0] += 1;
        let column = match outcomes.get(&spec.name).map(|outcome| outcome.state) {
            Some(State::Passed) => 1,
            Some(State::Failed) => 2,
            Some(State::Skipped) => 3,
            None => 4,
        };
        row[column] += 1;
    }
    for (group, row) in &groups {
        let cells: Vec<String> = row.iter().map(usize::to_string).collect();
        let _ = writeln!(out, "| {group} | {} |", cells.join(" | "));
    }
    let mut by_area: BTreeMap<(String, String), Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes.values().filter(|outcome| outcome.state != State::Passed) {
        let (area, cause) = match causes.of(&outcome.name) {
            Some(cause) => (cause.area.clone(), cause.cause.clone()),
            None if outcome.state == State::Skipped => ("skipped".to_owned(), one_line(&outcome.message)),
            None => ("not yet traced".to_owned(), one_line(&outcome.message)),
        };
        by_area.entry((area, cause)).or_default().push(outcome);
    }
    if !by_area.is_empty() {
        out.push_str("\n## What does not pass, by area and cause\n");
    }
    let mut last = "";
    for ((area, cause), failed) in &by_area {
        if area != last {
            let _ = writeln!(out, "\n### {area}");
        }
        last = area;
        let _ = writeln!(out, "\n{cause}\n");
        for outcome in failed {
            let _ = writeln!(out, "- {}", outcome.name);
        }
    }
    let missing: Vec<&Spec> = specs.iter().filter(|spec| !outcomes.contains_key(&spec.name)).collect();
    if !missing.is_empty() {
        out.push_str("\n## Not run yet\n\n");
        for spec in missing {
            let _ = writeln!(out, "- {}", spec.name);
        }
    }
    out
}

/// The first words of a message, without what differs from run to run.
fn one_line(message: &str) -> String {
    let line: String = message.chars().take(200).collect();
    if line.is_empty() { "no message".to_owned() } else { line.replace('\n', " ") }
}

/// The outcomes as JUnit.
pub fn junit<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> String {
    let failures = outcomes.clone().filter(|outcome| outcome.state == State::Failed).count();
    let skipped = outcomes.clone().filter(|outcome| outcome.state == State::Skipped).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conformance\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">\n",
        outcomes.clone().count()
    );
    for outcome in outcomes {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.1}\"",
            sig(&outcome.name),
            escape(&outcome.name),
            outcome.seconds
        );
        let inner = match outcome.state {
            State::Passed => None,
            State::Failed => Some("failure"),
            State::Skipped => Some("skipped"),
        };
        let _ = match inner {
            None => writeln!(out, "/>"),
            Some(tag) => writeln!(out, "><{tag} message=\"{}\"/></testcase>", escape(&outcome.message)),
        };
    }
    out.push_str("</testsuite>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, state: State, message: &str) -> (String, Outcome) {
        (name.into(), Outcome { name: name.into(), state, seconds: 1.0, message: message.into() })
    }

    #[test]
    fn every_spec_is_accounted_for() {
        let specs: Vec<Spec> = ["[sig-a] one", "[sig-a] two", "[sig-b] three", "[sig-b] four"]
            .map(|name| Spec { name: name.into(), alone: false })
            .into();
        let outcomes = BTreeMap::from([
            outcome("[sig-a] one", State::Passed, ""),
            outcome("[sig-a] two", State::Failed, "no <pod>"),
            outcome("[sig-b] three", State::Skipped, "two nodes"),
        ]);
        let causes: Causes =
            toml::from_str("[[cause]]\ncause = \"No X.\"\narea = \"kubelet\"\nspecs = [\"two\"]\n").unwrap();
        let text = markdown(&specs, &outcomes, &causes);
        for part in [
            "**1 of 4 pass**; 1 fail, 1 say that they cannot run here, 1 have not been run.",
            "| sig-a | 2 | 1 | 1 | 0 | 0 |",
            "### kubelet\n\nNo X.\n\n- [sig-a] two",
            "### skipped\n\ntwo nodes\n\n- [sig-b] three",
            "## Not run yet\n\n- [sig-b] four",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let junit = junit(outcomes.values());
        assert!(
            junit.contains("tests=\"3\" failures=\"1\" skipped=\"1\"") && junit.contains("no &lt;pod&gt;")
        );
    }
}
