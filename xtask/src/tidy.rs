//! Rules of the house that are neither rustc's nor clippy's.
//!
//! Each rule is a function from text to problems; reading files and asking
//! cargo is done by [`check`] alone. Sizes are left to readers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// What `layers.toml` says of one room.
#[derive(Debug, Deserialize)]
struct Room {
    layer: u8,
    uses: Vec<String>,
    /// Does no I/O.
    #[serde(default)]
    pure: bool,
}

/// Every problem of the checkout at `root`.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let layers = std::fs::read_to_string(root.join("xtask/layers.toml")).context("xtask/layers.toml")?;
    let rooms: BTreeMap<String, Room> = toml::from_str(&layers).context("xtask/layers.toml")?;
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;

    let mut problems = edges(&rooms, &workspace_edges(root)?);
    problems.extend(layer_order(&rooms));
    problems.extend(map(&rooms.keys().map(String::as_str).collect::<Vec<_>>(), &architecture));
    for file in tracked(root)? {
        let name = file.display().to_string();
        problems.extend(file_name(&name));
        if file.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(root.join(&file)).with_context(|| name.clone())?;
            problems.extend(source(&name, &text));
            if rooms
                .iter()
                .any(|(room, rules)| rules.pure && name.starts_with(&format!("crates/{room}/src/")))
            {
                problems.extend(purity(&name, &text));
            }
        }
    }
    Ok(problems)
}

fn run(root: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new(program).args(arguments).current_dir(root).output().context(program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn tracked(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(run(root, "git", &["ls-files"])?
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).exists())
        .collect())
}

/// Which workspace crate uses which, development dependencies left out.
fn workspace_edges(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
        kind: Option<String>,
        path: Option<PathBuf>,
    }
    let text = run(root, "cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Metadata = serde_json::from_str(&text)?;
    let mut edges = Vec::new();
    for package in metadata.packages {
        for dependency in package.dependencies {
            if dependency.path.is_some() && dependency.kind.as_deref() != Some("dev") {
                edges.push((package.name.clone(), dependency.name));
            }
        }
    }
    Ok(edges)
}

/// Edges that `layers.toml` does not list, and rooms that it does not know.
fn edges(rooms: &BTreeMap<String, Room>, used: &[(String, String)]) -> Vec<String> {
    used.iter()
        .filter_map(|(from, to)| match rooms.get(from) {
            None => Some(format!("xtask/layers.toml does not know the crate {from}")),
            Some(room) if room.uses.iter().any(|allowed| allowed == to || allowed == "*") => None,
            Some(_) => Some(format!("{from} uses {to}, which xtask/layers.toml does not allow")),
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Rooms that are allowed something of a higher layer.
fn layer_order(rooms: &BTreeMap<String, Room>) -> Vec<String> {
    let higher = |room: &Room, other: &str| rooms.get(other).is_some_and(|used| used.layer > room.layer);
    rooms
        .iter()
        .flat_map(|(name, room)| {
            room.uses
                .iter()
                .filter(|other| higher(room, other))
                .map(move |other| format!("xtask/layers.toml lets {name} use {other} of a higher layer"))
        })
        .collect()
}

/// Rooms without a section in ARCHITECTURE.md, and sections without a room.
/// A section opens with "### `room`".
fn map(rooms: &[&str], architecture: &str) -> Vec<String> {
    let sections: Vec<&str> = architecture
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.split_once('`'))
        .map(|(room, _)| room)
        .collect();
    let missing = rooms.iter().filter(|room| !sections.contains(room));
    let stale = sections.iter().filter(|section| !rooms.contains(section));
    missing
        .map(|room| format!("ARCHITECTURE.md has no section on {room}"))
        .chain(stale.map(|section| format!("ARCHITECTURE.md has a section on {section}, which is no crate")))
        .collect()
}

fn file_name(name: &str) -> Option<String> {
    let stem = Path::new(name).file_stem()?.to_str()?;
    ["util", "utils", "common", "helpers", "misc"]
        .contains(&stem)
        .then(|| format!("{name}: a file is named after what it holds, and {stem:?} says nothing"))
}

/// Problems of one Rust file.
fn source(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    // Attributes may stand before the docs.
    let opens = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    if !opens.is_some_and(|line| line.starts_with("//!")) {
        problems.push(format!("{name}: does not open with a //! doc that says what it holds"));
    }
    let tests = name.contains("/tests/")
        || name.ends_with("/tests.rs")
        || name.ends_with("_tests.rs")
        || text.contains("\n#![cfg(test)]\n");
    for (at, line) in text.lines().enumerate() {
        // Unit tests close a file: what follows is theirs.
        if tests || line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or(line);
        if code.contains(concat!(".unwrap", "()")) {
            problems.push(format!(
                "{name}:{}: unwrap() outside tests; say with expect() why it cannot fail",
                at + 1
            ));
        }
    }
    problems
}

/// I/O in a room that promises none.
fn purity(name: &str, text: &str) -> Vec<String> {
    let product = text.split("#[cfg(test)]").next().unwrap_or(text);
    ["std::fs", "std::net::Tcp", "std::net::Udp", "std::process::Command", "tokio::"]
        .iter()
        .filter(|call| {
            product.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(**call))
        })
        .map(|call| format!("{name}: uses {call} in a room that does no I/O"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> BTreeMap<String, Room> {
        toml::from_str("low = { layer = 0, uses = [] }\nhigh = { layer = 1, uses = [\"low\"] }").unwrap()
    }

    #[test]
    fn unlisted_edges_are_found() {
        let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert!(edges(&rooms(), &[edge("high", "low")]).is_empty());
        assert_eq!(edges(&rooms(), &[edge("low", "high")]).len(), 1);
        assert_eq!(edges(&rooms(), &[edge("new", "low")]).len(), 1);
    }

    #[test]
    fn layers_point_down() {
        let upside_down: BTreeMap<String, Room> =
            toml::from_str("low = { layer = 0, uses = [\"high\"] }\nhigh = { layer = 1, uses = [] }")
                .unwrap();
        assert!(layer_order(&rooms()).is_empty());
        assert_eq!(layer_order(&upside_down).len(), 1);
    }

    #[test]
    fn the_map_is_held_against_the_rooms() {
        let text = "### `low`\nx\n### `gone`, once\n";
        assert_eq!(map(&["low", "high"], text).len(), 2);
    }

    #[test]
    fn sources_are_read_for_docs_and_unwraps() {
        assert!(source("a.rs", "#![allow(x)]\n//! Holds a.\n").is_empty());
        assert_eq!(source("a.rs", "fn a() {}").len(), 1);
        assert_eq!(source("a.rs", "//! Holds a.\nfn a() { b().unwrap() }").len(), 1);
        assert!(
            source("a.rs", "//! Holds a.\n#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }").is_empty()
        );
        assert!(file_name("crates/a/src/utils.rs").is_some());
        assert_eq!(purity("a.rs", "use std::fs;\n").len(), 1);
        assert!(purity("a.rs", "x\n#[cfg(test)]\nuse std::fs;\n").is_empty());
    }
}
