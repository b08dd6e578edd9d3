//! The first document of a text as nodes. Means nothing yet: that is
//! [`super::decode`]'s.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Tag};

use super::YamlError;

/// Where a node is in its document.
pub(super) type At = usize;

/// One node.
pub(super) struct Node<'t> {
    pub content: Content<'t>,
    /// From 1 on.
    pub line: usize,
}

pub(super) enum Content<'t> {
    Scalar {
        text: Cow<'t, str>,
        /// In its short form, such as `!!int`; "" for none.
        tag: String,
        /// Neither quoted nor a block.
        is_plain: bool,
    },
    Sequence(Vec<At>),
    /// Keys and values in turn.
    Mapping(Vec<At>),
    Alias {
        name: String,
        of: At,
    },
}

/// The first document.
pub(super) struct Document<'t> {
    pub nodes: Vec<Node<'t>>,
    /// None where the text has no document.
    pub root: Option<At>,
}

/// Reads the first document of `text`.
pub(super) fn parse(text: &str) -> Result<Document<'_>, YamlError> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.emit_unresolved_aliases = true;
    let mut document = Document { nodes: Vec::new(), root: None };
    let mut anchors: BTreeMap<usize, At> = BTreeMap::new();
    // The collections that are open.
    let mut open: Vec<At> = Vec::new();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| told(&error, text))?;
        let (content, anchor, opens) = match event {
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                continue;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                (Content::Scalar { text, tag: short(tag.as_deref()), is_plain }, anchor, false)
            }
            Event::SequenceStart(_, anchor, _) => (Content::Sequence(Vec::new()), anchor, true),
            Event::MappingStart(_, anchor, _) => (Content::Mapping(Vec::new()), anchor, true),
            Event::Alias(anchor) => {
                let name = span.slice(text).unwrap_or("").trim_start_matches('*').to_owned();
                match anchors.get(&anchor) {
                    Some(of) => (Content::Alias { name, of: *of }, 0, false),
                    None => return Err(unknown_anchor(&name)),
                }
            }
            Event::UnresolvedAlias(name) => return Err(unknown_anchor(&name)),
            _ => continue,
        };
        let at = document.nodes.len();
        document.nodes.push(Node { content, line: span.start.line() });
        if anchor != 0 {
            anchors.insert(anchor, at);
        }
        match open.last().map(|parent| &mut document.nodes[*parent].content) {
            Some(Content::Sequence(items) | Content::Mapping(items)) => items.push(at),
            _ => document.root = Some(at),
        }
        if opens {
            open.push(at);
        }
    }
    Ok(document)
}

fn unknown_anchor(name: &str) -> YamlError {
    YamlError::new(format!("unknown anchor '{name}' referenced"))
}

/// A tag as Go's messages show it.
fn short(tag: Option<&Tag>) -> String {
    match tag.map(|tag| (tag.handle(), tag.suffix())) {
        None => String::new(),
        Some(("tag:yaml.org,2002:", suffix)) => format!("!!{suffix}"),
        Some((handle, suffix)) => format!("{handle}{suffix}"),
    }
}

/// The parser's error in the words of Go's, and with its line.
fn told(error: &ScanError, text: &str) -> YamlError {
    let line = error.marker().line();
    let at = |line: usize, message: &str| YamlError::Yaml { line: Some(line), message: message.to_owned() };
    match error.kind() {
        // Go tells what was expected where the text ends.
        ErrorKind::UnclosedFlowCollection { open } => {
            let lines = text.lines().count();
            if text.trim_end().ends_with(['{', '[', ',', ':']) {
                return at(lines, "did not find expected node content");
            }
            let closing = if *open == '{' { '}' } else { ']' };
            let line = if line > 1 { line - 1 } else { lines };
            at(line, &format!("did not find expected ',' or '{closing}'"))
        }
        ErrorKind::ExpectedNodeContent => at(line, "did not find expected node content"),
        ErrorKind::ExpectedBlockMappingKey => at(line, "did not find expected key"),
        ErrorKind::ExpectedBlockSequenceEntry => at(line, "did not find expected '-' indicator"),
        ErrorKind::ExpectedFlowMappingSeparator => at(line, "did not find expected ',' or '}'"),
        ErrorKind::ExpectedFlowSequenceSeparator => at(line, "did not find expected ',' or ']'"),
        ErrorKind::RecursionLimitExceeded => YamlError::new("exceeded max depth"),
        kind => at(line, kind.to_string().lines().next().unwrap_or_default()),
    }
}
