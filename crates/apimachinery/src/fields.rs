//! Field selectors: `metadata.name=x,spec.nodeName!=y`.
//!
//! Syntax and matching; which fields a kind can be selected by is its
//! strategy's matter.

use std::fmt;

use crate::labels::SelectorError;

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub field: String,
    pub value: String,
    /// `!=` rather than `=` or `==`.
    pub negated: bool,
}

/// A field selector: all its terms hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

impl Selector {
    /// Matches all objects.
    pub const fn everything() -> Self {
        Selector { terms: Vec::new() }
    }

    /// Reads the form of the query parameter `fieldSelector`; "" is everything.
    /// In values `\\`, `\,` and `\=` stand for the letter behind the backslash.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in split(text) {
            if part.is_empty() {
                continue;
            }
            let (field, operator, value) = split_term(part).ok_or_else(|| {
                SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"))
            })?;
            let term = Term { field: field.to_owned(), value: unescape(value)?, negated: operator == "!=" };
            // Nothing that is nothing.
            if term.negated || !(term.field.is_empty() && term.value.is_empty()) {
                terms.push(term);
            }
        }
        terms.sort_by(|a, b| a.field.cmp(&b.field));
        Ok(Selector { terms })
    }

    /// `field=value`.
    pub fn exact(field: &str, value: &str) -> Self {
        Selector { terms: vec![Term { field: field.into(), value: value.into(), negated: false }] }
    }

    /// Calls a field by another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        for term in self.terms.iter_mut().filter(|term| term.field == from) {
            term.field = to.to_owned();
        }
    }

    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value that `field` must have, where the selector says so: what an
    /// index or a watch trigger can look up.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| !term.negated && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether all terms hold; `get` gives a field's text, "" where it is unset.
    pub fn matches<'a>(&self, mut get: impl FnMut(&str) -> &'a str) -> bool {
        self.terms.iter().all(|term| (get(&term.field) == term.value) != term.negated)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}{}{}", term.field, if term.negated { "!=" } else { "=" }, escape(&term.value))?;
        }
        Ok(())
    }
}

/// A value with what the syntax uses escaped.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    if !value.contains(['\\', ',', '=']) {
        return Ok(value.to_owned());
    }
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                Some(other) => {
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    )));
                }
                None => {
                    return Err(SelectorError("invalid field selector: invalid escape sequence: \\".into()));
                }
            },
            ',' | '=' => {
                // Go tells the letter as a number.
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(letter)
                )));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// The parts between commas that no backslash stands before.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |letter: char| {
        let comma = letter == ',' && !escaped;
        escaped = letter == '\\' && !escaped;
        comma
    })
}

/// Field, operator and value at the first operator.
fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        ["!=", "==", "="]
            .into_iter()
            .find(|operator| rest.starts_with(operator))
            .map(|operator| (&term[..at], operator, &rest[operator.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matching() {
        let get = |field: &str| match field {
            "metadata.name" => "a",
            "odd" => "x,y=\\",
            _ => "",
        };
        for (text, expected) in [
            ("", true),
            ("metadata.name=a", true),
            ("metadata.name==a,spec.nodeName=", true),
            ("metadata.name!=a", false),
            ("spec.nodeName!=n", true),
            ("odd=x\\,y\\=\\\\", true),
            ("metadata.name=a,", true),
        ] {
            let selector = Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.matches(get), expected, "{text}");
        }
        let selector = Selector::parse("spec.nodeName=n,metadata.name!=a").expect("valid");
        assert_eq!(
            (selector.required("spec.nodeName"), selector.required("metadata.name")),
            (Some("n"), None)
        );
    }

    #[test]
    fn errors_carry_upstreams_texts() {
        for (text, message) in [
            ("bogus", "invalid selector: 'bogus'; can't understand 'bogus'"),
            ("metadata.name>a", "invalid selector: 'metadata.name>a'; can't understand 'metadata.name>a'"),
            ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=b\\x", "invalid field selector: invalid escape sequence: \\x"),
        ] {
            assert_eq!(Selector::parse(text).expect_err(text).to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn written_selectors_read_back(values in proptest::collection::vec((".{0,6}", any::<bool>()), 0..4)) {
            let terms = values
                .into_iter()
                .enumerate()
                .map(|(at, (value, negated))| Term { field: format!("f{at}"), value, negated })
                .collect();
            let selector = Selector { terms };
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,40}") {
            let _ = Selector::parse(&text);
        }
    }
}
