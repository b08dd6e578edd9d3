//! Files of variables that one container writes for another (`fileKeyRef`,
//! KEP-3721). Pure: what the files hold is handed in.
//!
//! A line is `NAME='value'`: no blank around `=`, nothing in the quotes has a
//! meaning, and they may span lines. Empty lines and `#` comments are allowed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Container;

/// A file by its volume and its path in there.
pub type Place = (String, String);

/// What each file holds, or the sentence why it cannot be used.
pub type EnvFiles = BTreeMap<Place, Result<String, String>>;

/// The files that a container's variables come from.
pub fn wanted(container: &Container) -> BTreeSet<Place> {
    let sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
    let files = sources.filter_map(|source| source.file_key_ref.as_ref());
    files.map(|file| (file.volume_name.clone(), file.path.clone())).collect()
}

/// The value of `key`; empty where the file does not have it. Lines behind it
/// are not looked at.
pub fn value(text: &str, key: &str) -> Result<String, String> {
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| format!("invalid environment variable format at line {number}: {why}");
        let (name, rest) = line.split_once('=').ok_or_else(|| bad("missing '='"))?;
        if name.trim_end_matches(BLANKS).is_empty() {
            return Err(bad("empty variable name"));
        }
        if name.ends_with(BLANKS) {
            return Err(bad("whitespace before '=' is not allowed"));
        }
        // As in a shell: an empty value, and then something else.
        if rest.starts_with(BLANKS) {
            match name == key {
                true => return Ok(String::new()),
                false => continue,
            }
        }
        // Nothing at all behind the sign is no quoted value either.
        let quoted = rest.strip_prefix('\'').ok_or_else(|| bad("value must be enclosed in single quotes"))?;
        let mut value = String::new();
        let (mut part, mut at) = (quoted, number);
        let behind = loop {
            if let Some((inside, behind)) = part.split_once('\'') {
                value.push_str(inside);
                break behind;
            }
            value.push_str(part);
            value.push('\n');
            (at, part) = lines.next().ok_or_else(|| {
                format!(
                    "invalid environment variable format starting at line {number}: unclosed single quote"
                )
            })?;
        };
        let behind = behind.trim_start_matches(BLANKS);
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(format!(
                "invalid environment variable format at line {at}: unexpected content after closing quote"
            ));
        }
        if name == key {
            return Ok(value);
        }
    }
    Ok(String::new())
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_quotes() {
        let text = "# first\n\n  A='1'\n\tB='two # = words' # said\nC='one\n two'\nD= 'x'\nE=''\nA='again'\n";
        let rows = [("A", "1"), ("B", "two # = words"), ("C", "one\n two"), ("D", ""), ("E", ""), ("F", "")];
        for (key, expected) in rows {
            assert_eq!(value(text, key).as_deref(), Ok(expected), "{key}");
        }
    }

    #[test]
    fn anything_else_is_told_with_its_line() {
        let rows = [
            ("A='1'\nB\n", "at line 2: missing '='"),
            ("='x'", "at line 1: empty variable name"),
            ("A ='x'", "at line 1: whitespace before '=' is not allowed"),
            ("A=x", "at line 1: value must be enclosed in single quotes"),
            ("A=", "at line 1: value must be enclosed in single quotes"),
            ("A=\"x\"", "at line 1: value must be enclosed in single quotes"),
            ("A='x'y", "at line 1: unexpected content after closing quote"),
            ("A='x\ny'z", "at line 2: unexpected content after closing quote"),
            ("\nA='x\n", "starting at line 2: unclosed single quote"),
        ];
        for (text, expected) in rows {
            let why = value(text, "Z").unwrap_err();
            assert!(why.ends_with(expected), "{text:?}: {why}");
        }
        assert_eq!(value("A='1'\nbroken", "A").as_deref(), Ok("1"));
    }
}
