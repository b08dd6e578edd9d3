//! The library of strings. Indexes count characters.

use super::format;
use crate::error::Error;
use crate::value::Val;

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, String};
    Ok(match (function, args) {
        ("contains", [String(text), String(part)]) => Bool(text.contains(&**part)),
        ("startsWith", [String(text), String(part)]) => Bool(text.starts_with(&**part)),
        ("endsWith", [String(text), String(part)]) => Bool(text.ends_with(&**part)),
        ("lowerAscii", [String(text)]) => Val::string(text.to_ascii_lowercase()),
        ("upperAscii", [String(text)]) => Val::string(text.to_ascii_uppercase()),
        ("trim", [String(text)]) => Val::string(text.trim().to_owned()),
        ("strings.quote", [String(text)]) => Val::string(quote(text)),
        ("jsonpatch.escapeKey", [String(text)]) => Val::string(text.replace('~', "~0").replace('/', "~1")),
        ("charAt", [String(text), Int(at)]) => {
            let count = text.chars().count() as i64;
            if *at < 0 || *at > count {
                return Err(Error::failed(format!("index out of range: {at}")));
            }
            Val::string(
                text.chars()
                    .nth(*at as usize)
                    .map_or_else(std::string::String::new, |letter| letter.to_string()),
            )
        }
        ("indexOf", [String(text), String(part)]) => Int(index_of(text, part, 0)?),
        ("indexOf", [String(text), String(part), Int(from)]) => Int(index_of(text, part, *from)?),
        ("lastIndexOf", [String(text), String(part)]) => Int(last_index_of(text, part, None)?),
        ("lastIndexOf", [String(text), String(part), Int(from)]) => {
            Int(last_index_of(text, part, Some(*from))?)
        }
        ("replace", [String(text), String(old), String(new)]) => Val::string(text.replace(&**old, new)),
        ("replace", [String(text), String(old), String(new), Int(times)]) => match usize::try_from(*times) {
            Ok(times) => Val::string(text.replacen(&**old, new, times)),
            Err(_) => Val::string(text.replace(&**old, new)),
        },
        ("split", [String(text), String(by)]) => split(text, by, -1),
        ("split", [String(text), String(by), Int(most)]) => split(text, by, *most),
        ("substring", [String(text), Int(from)]) => substring(text, *from, text.chars().count() as i64)?,
        ("substring", [String(text), Int(from), Int(to)]) => substring(text, *from, *to)?,
        _ => return Err(Error::no_overload()),
    })
}

fn index_of(text: &str, part: &str, from: i64) -> Result<i64, Error> {
    let letters: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = part.chars().collect();
    if from < 0 || (from > letters.len() as i64 && !wanted.is_empty()) {
        return Err(Error::failed(format!("index out of range: {from}")));
    }
    if wanted.is_empty() {
        return Ok(from.min(letters.len() as i64));
    }
    let found = letters[from as usize..].windows(wanted.len()).position(|window| window == wanted);
    Ok(found.map_or(-1, |at| at as i64 + from))
}

fn last_index_of(text: &str, part: &str, from: Option<i64>) -> Result<i64, Error> {
    let letters: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = part.chars().collect();
    let from = from.unwrap_or(letters.len() as i64);
    if from < 0 || from > letters.len() as i64 {
        return Err(Error::failed(format!("index out of range: {from}")));
    }
    if wanted.is_empty() {
        return Ok(from);
    }
    let windows: Vec<&[char]> = letters.windows(wanted.len()).collect();
    let found =
        windows.iter().enumerate().rev().find(|(at, window)| *at as i64 <= from && **window == wanted);
    Ok(found.map_or(-1, |(at, _)| at as i64))
}

fn split<'a>(text: &str, by: &str, most: i64) -> Val<'a> {
    if most == 0 {
        return Val::list(Vec::new());
    }
    let owned = |part: &str| Val::string(part.to_owned());
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    if by.is_empty() {
        // Go splits after each character, the rest being the last part.
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if parts.len() + 1 == limit {
                break;
            }
            parts.push(owned(&rest[..letter.len_utf8()]));
            rest = &rest[letter.len_utf8()..];
        }
        if !rest.is_empty() {
            parts.push(owned(rest));
        }
        return Val::list(parts);
    }
    Val::list(text.splitn(limit, by).map(owned).collect())
}

fn substring<'a>(text: &str, from: i64, to: i64) -> Result<Val<'a>, Error> {
    let count = text.chars().count() as i64;
    for index in [from, to] {
        if index < 0 || index > count {
            return Err(Error::failed(format!("index out of range: {index}")));
        }
    }
    if from > to {
        return Err(Error::failed(format!("invalid substring range. start: {from}, end: {to}")));
    }
    let part: String = text.chars().skip(from as usize).take((to - from) as usize).collect();
    Ok(Val::string(part))
}

/// A text in double quotes with what is not printable escaped.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The texts of a list with `by` between them.
pub(super) fn join<'a>(items: &[Val<'a>], by: &str) -> Result<Val<'a>, Error> {
    let texts: Option<Vec<&str>> = items.iter().map(Val::as_str).collect();
    let texts = texts.ok_or_else(|| {
        let odd = items.iter().find(|item| item.as_str().is_none());
        Error::failed(format!("unexpected element in list: {}", odd.map_or_else(String::new, format::shown)))
    })?;
    Ok(Val::string(texts.join(by)))
}
