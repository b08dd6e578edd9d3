//! Regular expressions as Go's `regexp` reads them: its classes are ASCII, it
//! knows no set operations, and its errors have words of their own.

use regex::Regex;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regexp(Regex);

impl Regexp {
    /// Compiles an expression in Go's syntax.
    ///
    /// # Errors
    /// Go's text: ``error parsing regexp: missing closing ): `(` ``.
    pub fn compile(text: &str) -> Result<Self, String> {
        let translated = translate(text);
        let regex = match Regex::new(&translated) {
            Ok(regex) => repetitions(&translated).map(|()| regex),
            Err(_) => Err(words(text, &translated)),
        };
        regex.map(Self).map_err(|why| format!("error parsing regexp: {why}"))
    }

    /// Whether the text holds a match.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression behind it.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

/// Go repeats a thousand times at most, and no repetition without a group
/// around it.
fn repetitions(text: &str) -> Result<(), String> {
    use regex_syntax::ast::{self, Ast, RepetitionKind, RepetitionRange};

    struct Visit<'t>(&'t str);

    impl ast::Visitor for Visit<'_> {
        type Output = ();
        type Err = String;

        fn finish(self) -> Result<(), String> {
            Ok(())
        }

        fn visit_post(&mut self, ast: &Ast) -> Result<(), String> {
            const MOST: u32 = 1000;
            let Ast::Repetition(repetition) = ast else { return Ok(()) };
            let operator = repetition.op.span;
            let most = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(most) | RepetitionRange::AtLeast(most)) => {
                    *most
                }
                RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => *least.max(most),
                _ => 0,
            };
            if most > MOST {
                let part = &self.0[operator.start.offset..operator.end.offset];
                return Err(format!("invalid repeat count: `{part}`"));
            }
            if let Ast::Repetition(inner) = &*repetition.ast {
                let part = &self.0[inner.op.span.start.offset..operator.end.offset];
                return Err(format!("invalid nested repetition operator: `{part}`"));
            }
            Ok(())
        }
    }

    match ast::parse::Parser::new().parse(text) {
        Ok(parsed) => ast::visit(&parsed, Visit(text)),
        Err(_) => Ok(()),
    }
}

/// Go's classes and literals in the words of the crate `regex`.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('Q') => {
                    let mut literal = String::new();
                    while let Some(letter) = letters.next() {
                        if letter == '\\' && letters.peek() == Some(&'E') {
                            letters.next();
                            break;
                        }
                        literal.push(letter);
                    }
                    out.push_str(&regex::escape(&literal));
                }
                Some(escaped) => out.push_str(&class(escaped, in_class)),
                None => out.push('\\'),
            },
            '[' if in_class => match letters.peek() {
                // A POSIX class: [[:alpha:]].
                Some(':') => out.push('['),
                _ => out.push_str("\\["),
            },
            '[' => {
                in_class = true;
                out.push('[');
                if letters.peek() == Some(&'^') {
                    letters.next();
                    out.push('^');
                }
                // A bracket that stands first is meant itself.
                if letters.peek() == Some(&']') {
                    letters.next();
                    out.push_str("\\]");
                }
            }
            ']' if in_class => {
                let closes_posix = out.ends_with(':') && out.rfind("[:").is_some_and(|at| at + 2 < out.len());
                in_class = closes_posix;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(letter);
            }
            '-' if in_class && (out.ends_with('-') || letters.peek() == Some(&'-')) => out.push_str("\\-"),
            other => out.push(other),
        }
    }
    out
}

/// An escape, spelled out where Go means ASCII.
fn class(escaped: char, in_class: bool) -> String {
    let (letters, negated) = match escaped {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        'w' => ("0-9A-Za-z_", false),
        'W' => ("0-9A-Za-z_", true),
        's' => ("\\t\\n\\f\\r ", false),
        'S' => ("\\t\\n\\f\\r ", true),
        'b' if !in_class => return "(?-u:\\b)".into(),
        'B' if !in_class => return "(?-u:\\B)".into(),
        other => return format!("\\{other}"),
    };
    match (in_class, negated) {
        (true, false) => letters.to_owned(),
        (_, true) => format!("[^{letters}]"),
        (false, false) => format!("[{letters}]"),
    }
}

/// What Go says of an expression that cannot be read.
fn words(text: &str, translated: &str) -> String {
    use regex_syntax::ast::ErrorKind;
    let error = match regex_syntax::ast::parse::Parser::new().parse(translated) {
        Err(error) => error,
        Ok(_) => return format!("expression nests too deeply or is too large: `{text}`"),
    };
    let span = error.span();
    let part = translated.get(span.start.offset..span.end.offset).unwrap_or(text);
    let rest = translated.get(span.start.offset..).unwrap_or(text);
    match error.kind() {
        ErrorKind::GroupUnclosed => format!("missing closing ): `{text}`"),
        ErrorKind::GroupUnopened => format!("unexpected ): `{text}`"),
        ErrorKind::ClassUnclosed => format!("missing closing ]: `{rest}`"),
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => {
            format!("invalid character class range: `{part}`")
        }
        ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".into(),
        ErrorKind::RepetitionMissing => {
            // The operator that has nothing before it.
            let operator: String = rest.chars().take(1).collect();
            format!("missing argument to repetition operator: `{operator}`")
        }
        ErrorKind::RepetitionCountInvalid => format!("invalid repeat count: `{part}`"),
        ErrorKind::GroupNameInvalid | ErrorKind::GroupNameEmpty | ErrorKind::GroupNameUnexpectedEof => {
            format!("invalid named capture: `{rest}`")
        }
        ErrorKind::GroupNameDuplicate { .. } => format!("duplicate capture group name: `{part}`"),
        ErrorKind::FlagUnrecognized
        | ErrorKind::FlagUnexpectedEof
        | ErrorKind::FlagDanglingNegation
        | ErrorKind::UnsupportedLookAround => {
            format!("invalid or unsupported Perl syntax: `{}`", perl(rest, text))
        }
        ErrorKind::UnicodeClassInvalid => format!("invalid character class range: `{part}`"),
        _ => format!("invalid escape sequence: `{part}`"),
    }
}

/// The beginning of a group that Go does not know: `(?=`.
fn perl<'a>(rest: &'a str, text: &'a str) -> &'a str {
    let group = text.find("(?").map_or(rest, |at| &text[at..]);
    let end = group.char_indices().nth(3).map_or(group.len(), |(at, _)| at);
    if group.starts_with("(?<") {
        // Go names the look-behind's first four letters.
        let end = group.char_indices().nth(4).map_or(group.len(), |(at, _)| at);
        return &group[..end];
    }
    &group[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_hold_no_set_operations() {
        let cases = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{0663}", false),
            (r"^[\w.-]+$", "a_b-c.d", true),
            (r"^[a&&b]+$", "&ab", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"^a$", "a\n", false),
            (r"^[^\s]+$", "a b", false),
        ];
        for (pattern, text, expected) in cases {
            let regexp = Regexp::compile(pattern).unwrap();
            assert_eq!(regexp.is_match(text), expected, "{pattern} {text:?}");
        }
    }

    #[test]
    fn errors_have_the_words_of_go() {
        let cases = [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[a", "missing closing ]: `[a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
        ];
        for (pattern, expected) in cases {
            let error = Regexp::compile(pattern).unwrap_err();
            assert_eq!(error, format!("error parsing regexp: {expected}"));
        }
    }
}
