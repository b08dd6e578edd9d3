//! YAML as Go's package writes it (sigs.k8s.io/yaml): block style, lists not
//! indented below their key, quotes only where a plain text would be read as
//! something else, long texts folded behind column 80.

use crate::{Value, json};

const WIDTH: usize = 80;

/// Writes a tree whose members are sorted.
pub(super) fn document(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    writer.node(value, 0, Place::Document);
    writer.out.push('\n');
    writer.out
}

/// What stands before a node.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Document,
    /// A key and its colon.
    Member,
    /// The dash of an item.
    Item,
}

/// How a text is written.
#[derive(Debug, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The most bytes of a key that stands in a line with its value, as Go's
/// package has it.
const LONGEST_KEY: usize = 128;

struct Writer {
    out: String,
    /// Letters in the current line.
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// `indent` is that of the node's own lines where it is a mapping or a list.
    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                let indent = if place == Place::Document { 0 } else { indent + 2 };
                for (at, (name, member)) in object.iter().enumerate() {
                    match (at, place) {
                        (0, Place::Document) => {}
                        (0, Place::Item) => self.push(" "),
                        _ => self.line(indent),
                    }
                    // Only a short key may stand before its colon.
                    let is_long = name.len() > LONGEST_KEY;
                    if is_long {
                        self.push("? ");
                    }
                    self.text(name, indent, true);
                    if is_long {
                        self.line(indent);
                    }
                    self.push(":");
                    self.node(member, indent, Place::Member);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                // A list below a key begins where the key does.
                let indent = if place == Place::Item { indent + 2 } else { indent };
                for (at, item) in items.iter().enumerate() {
                    match (at, place) {
                        (0, Place::Document) => {}
                        (0, Place::Item) => self.push(" "),
                        _ => self.line(indent),
                    }
                    self.push("-");
                    self.node(item, indent, Place::Item);
                }
            }
            scalar => {
                if place != Place::Document {
                    self.push(" ");
                }
                match scalar {
                    Value::Object(_) => self.push("{}"),
                    Value::Array(_) => self.push("[]"),
                    Value::String(text) => self.text(text, indent + 2, false),
                    Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                        self.push(&(*number as i64).to_string());
                    }
                    other => self.push(&json::to_string(other)),
                }
            }
        }
    }

    /// A text whose further lines are indented by `indent`.
    fn text(&mut self, text: &str, indent: usize, is_key: bool) {
        match style(text, is_key) {
            Style::Plain => self.folded(text, indent, is_key, |letter, out| out.push(letter)),
            Style::Single => {
                self.push("'");
                self.folded(text, indent, is_key, |letter, out| {
                    out.push(letter);
                    if letter == '\'' {
                        out.push(letter);
                    }
                });
                self.push("'");
            }
            Style::Double => self.double(text, indent, is_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Writes letters, with a new line instead of a single space behind the last column.
    fn folded(&mut self, text: &str, indent: usize, is_key: bool, write: impl Fn(char, &mut String)) {
        let mut after_space = false;
        let mut letters = text.chars().peekable();
        let mut first = true;
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied();
            let breaks = letter == ' '
                && !is_key
                && !first
                && !after_space
                && self.column > WIDTH
                && next.is_some_and(|next| next != ' ');
            if breaks {
                self.line(indent);
            } else {
                write(letter, &mut self.out);
                self.column += 1;
            }
            after_space = letter == ' ';
            first = false;
        }
    }

    fn double(&mut self, text: &str, indent: usize, is_key: bool) {
        self.push("\"");
        let mut after_space = false;
        let mut letters = text.chars().peekable();
        let mut first = true;
        while let Some(letter) = letters.next() {
            let breaks = letter == ' ' && !is_key && !first && !after_space && self.column > WIDTH;
            if breaks && letters.peek().is_some() {
                self.line(indent);
                if letters.peek() == Some(&' ') {
                    self.push("\\");
                }
            } else {
                self.push(&escaped(letter));
            }
            after_space = letter == ' ';
            first = false;
        }
        self.push("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push("2");
        }
        if !text.ends_with('\n') {
            self.push("-");
        } else if text == "\n" || text.ends_with("\n\n") {
            self.push("+");
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if line.is_empty() {
                self.out.push('\n');
            } else {
                self.line(indent);
                self.push(line);
            }
        }
    }
}

fn style(text: &str, is_key: bool) -> Style {
    let found = Analysis::of(text);
    if text.contains('\n') {
        return if is_key || found.special || found.space_before_break || text.ends_with(' ') {
            Style::Double
        } else {
            Style::Literal
        };
    }
    if is_other(text) {
        return Style::Double;
    }
    if !found.indicators && !found.special && !text.starts_with(' ') && !text.ends_with(' ') {
        return Style::Plain;
    }
    if found.special { Style::Double } else { Style::Single }
}

/// What of a text decides its style.
#[derive(Default)]
struct Analysis {
    /// Letters that plain texts may not have where these are.
    indicators: bool,
    /// Letters that only double quotes can hold.
    special: bool,
    space_before_break: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        let mut found =
            Analysis { indicators: text.starts_with("---") || text.starts_with("..."), ..Self::default() };
        let mut before: Option<char> = None;
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied();
            let before_blank = next.is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
            let after_blank = before.is_none_or(|before| matches!(before, ' ' | '\t' | '\n'));
            let first = before.is_none();
            found.indicators |= match letter {
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    first
                }
                '#' => after_blank,
                ':' => before_blank,
                '?' | '-' => first && before_blank,
                _ => false,
            };
            found.special |= letter != '\n' && !is_printable(letter);
            found.space_before_break |= letter == ' ' && next == Some('\n');
            before = Some(letter);
        }
        found
    }
}

fn is_printable(letter: char) -> bool {
    matches!(letter, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && letter != '\u{feff}'
        && !matches!(letter, '\u{2028}' | '\u{2029}')
}

fn escaped(letter: char) -> String {
    let short = match letter {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '\u{85}' => "\\N",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        letter if is_printable(letter) => return letter.to_string(),
        letter => {
            return match letter as u32 {
                code @ 0..=0xff => format!("\\x{code:02X}"),
                code @ 0..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    short.to_owned()
}

/// Whether a plain text would be read as no text: a truth value, null, a
/// number, a time.
fn is_other(text: &str) -> bool {
    const WORDS: [&str; 32] = [
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On",
        "ON", "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "<<", ".nan",
        ".NaN", ".NAN", ".inf",
    ];
    if WORDS.contains(&text) || matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF") {
        return true;
    }
    match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => is_number(text) || is_time(text) || is_base_60(text),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    let plain = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(rest) = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix)) {
            return all(rest, radix);
        }
    }
    // What is left is an integer or a decimal fraction with an exponent.
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let whole = match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, 10),
        Some((whole, fraction)) => all(whole, 10) && (fraction.is_empty() || all(fraction, 10)),
        None => all(mantissa, 10),
    };
    whole && exponent.is_none_or(|exponent| all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), 10))
}

/// `2006-1-2`, alone or with a time of the day behind it.
fn is_time(text: &str) -> bool {
    let date_end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, time) = text.split_at(date_end);
    let parts: Vec<&str> = date.split('-').collect();
    let number = |part: &str, most: usize| {
        !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let [year, month, day] = parts.as_slice() else { return false };
    let is_date = year.len() == 4 && number(year, 4) && number(month, 2) && number(day, 2);
    let in_range = |part: &str, most: u32| part.parse::<u32>().is_ok_and(|value| (1..=most).contains(&value));
    if !is_date || !in_range(month, 12) || !in_range(day, 31) {
        return false;
    }
    let Some(clock) = time.get(1..) else { return true };
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let clock = clock.split(['+', '-', ' ']).next().unwrap_or(clock);
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    number(hour, 2)
        && number(minute, 2)
        && number(second, 2)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1:30`, a number of YAML 1.1 to the base of 60.
fn is_base_60(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or("");
    let rest: Vec<&str> = parts.collect();
    let is_first = first.starts_with(|letter: char| letter.is_ascii_digit())
        && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    is_first
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(at, part)| {
            let part = if at + 1 == rest.len() { part.split('.').next().unwrap_or(part) } else { part };
            matches!(part.len(), 1 | 2) && part.parse::<u8>().is_ok_and(|value| value < 60)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn texts_have_quotes_where_they_need_them() {
        for (text, written) in [
            ("f:data", "f:data"),
            (".", "."),
            ("", "\"\""),
            ("a b", "a b"),
            ("yes", "\"yes\""),
            ("0777", "\"0777\""),
            ("1e5", "\"1e5\""),
            ("1.2.3", "1.2.3"),
            ("v1", "v1"),
            ("2026-01-02T03:04:05Z", "\"2026-01-02T03:04:05Z\""),
            ("2026-01-02", "\"2026-01-02\""),
            ("12:30", "\"12:30\""),
            ("123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("a: b", "'a: b'"),
            ("a #b", "'a #b'"),
            ("it's", "it's"),
            ("'it'", "'''it'''"),
            ("{}", "'{}'"),
            ("- a", "'- a'"),
            ("-a", "-a"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
            ("*", "'*'"),
            ("http://x:80", "http://x:80"),
            ("ende:", "'ende:'"),
            ("ü", "ü"),
            ("two\nlines\n", "|\n  two\n  lines"),
            ("two\n\nlines", "|-\n  two\n\n  lines"),
            (" x\n", "|2\n   x"),
        ] {
            assert_eq!(document(&value!({"k": text})), format!("k: {written}\n"), "{text:?}");
        }
    }

    #[test]
    fn trees_are_in_block_style() {
        let tree = value!({
            "a": {"b": [{"c": 1, "d": []}, [1, 2], "x"], "e": {}},
            "z": null
        });
        assert_eq!(
            document(&tree),
            "a:\n  b:\n  - c: 1\n    d: []\n  - - 1\n    - 2\n  - x\n  e: {}\nz: null\n"
        );
        assert_eq!(document(&value!([{"a": {"b": 1}}])), "- a:\n    b: 1\n");
    }

    #[test]
    fn long_keys_stand_by_themselves() {
        let key = "k".repeat(LONGEST_KEY + 1);
        let mut tree = Value::object();
        tree.set(key.clone(), value!({"a": [1], "b": "c"}));
        let text = document(&tree);
        assert_eq!(text, format!("? {key}\n:\n  a:\n  - 1\n  b: c\n"));
        assert_eq!(super::super::parse(text.as_bytes()), Ok(tree));
    }

    #[test]
    fn long_texts_are_folded_behind_the_last_column() {
        let word = "0123456789";
        let long = [word; 12].join(" ");
        let text = document(&value!({"key": long.as_str()}));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].len() > 80 && lines[1].starts_with("  0123"), "{text}");
    }
}
