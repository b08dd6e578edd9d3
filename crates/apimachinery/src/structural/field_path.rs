//! Paths to fields as definitions write them (`.spec.color`, `.a['b.c']`),
//! resolved in a schema.

use super::{Additional, Kind, Schema};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `.name`.
    Name(String),
    /// `['key']`: a map's value.
    Key(String),
}

/// The steps of `text` and the schema at its end.
///
/// # Errors
/// Why the path leads nowhere, in upstream's words.
pub fn field_path<'a>(
    text: &str,
    schema: &'a Schema,
    allows_brackets: bool,
) -> Result<(Vec<Part>, &'a Schema), String> {
    let mut parts = Vec::new();
    let mut at = schema;
    let mut rest = text;
    let nowhere = || "does not refer to a valid field".to_owned();
    while !rest.is_empty() {
        let part;
        if let Some(after) = rest.strip_prefix('.') {
            let end = name_end(after);
            if end == 0 {
                return Err(format!("unexpected end of JSON path: {text}"));
            }
            part = Part::Name(unescape(&after[..end]));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            if !allows_brackets {
                return Err("array notation is not allowed".into());
            }
            let (key, after) = bracketed(after).ok_or_else(|| format!("invalid key: {rest}"))?;
            part = Part::Key(key);
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            return Err(format!("expected [ or . but got: {}", &rest[..end]));
        }
        let (Part::Name(name) | Part::Key(name)) = &part;
        at = match (&at.kind, &at.additional) {
            (Kind::Array, _) => return Err(nowhere()),
            (_, Additional::Schema(inner)) if allows_brackets => inner,
            _ => at.property(name).ok_or_else(nowhere)?,
        };
        parts.push(part);
    }
    if parts.is_empty() {
        return Err(nowhere());
    }
    Ok((parts, at))
}

/// Where a name ends: at a dot or bracket without a backslash before it.
fn name_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '.' | '[' if !escaped => return at,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    text.len()
}

fn unescape(text: &str) -> String {
    text.replace("\\.", ".")
}

/// The quoted key behind a bracket, and what follows the closing one.
fn bracketed(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let body = &text[1..];
    let mut key = String::new();
    let mut letters = body.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => key.push(match letters.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                plain @ ('\'' | '\\') => plain,
                _ => return None,
            }),
            letter if letter == quote => {
                let after = body[at + 1..].strip_prefix(']')?;
                return Some((key, after));
            }
            letter => key.push(letter),
        }
    }
    None
}
