//! JSON's tokens, and the errors of Go's scanner.
//!
//! It allocates only for strings with escapes.

use std::borrow::Cow;

use super::DecodeError;

/// How deep a value that is only skipped may nest, as Go's scanner.
const MAX_SKIPPED_DEPTH: usize = 10_000;

pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A number as written.
#[derive(Clone, Copy)]
pub(crate) struct Number<'a> {
    pub text: &'a str,
    /// Neither fraction nor exponent.
    pub integer: bool,
}

impl Number<'_> {
    pub fn as_i64(&self) -> Option<i64> {
        if !self.integer {
            return None;
        }
        let bytes = self.text.as_bytes();
        // Short and plain, as nearly all are.
        if bytes.len() <= 18 && bytes[0] != b'-' {
            return Some(bytes.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')));
        }
        self.text.parse().ok()
    }

    /// `None` where it overflows.
    pub fn as_f64(&self) -> Option<f64> {
        self.text.parse::<f64>().ok().filter(|number| number.is_finite())
    }
}

type Result<T> = std::result::Result<T, DecodeError>;

#[cold]
pub(crate) fn syntax(what: impl Into<String>) -> DecodeError {
    DecodeError::Syntax(what.into())
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    #[cold]
    fn unexpected(&self, at: usize, context: &str) -> DecodeError {
        match self.bytes().get(at) {
            None => syntax("unexpected end of JSON input"),
            // Go's scanner works by bytes.
            Some(&byte) => syntax(format!("invalid character {} {context}", quoted(byte))),
        }
    }

    /// The next byte that is no white space, not taken; 0 at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        let bytes = self.bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Takes the byte that was peeked.
    #[inline]
    pub fn bump(&mut self) {
        self.at += 1;
    }

    /// Where no value begins.
    #[cold]
    pub fn no_value(&self) -> DecodeError {
        self.unexpected(self.at, "looking for beginning of value")
    }

    /// After `{` or a member's `,`: the next name with its colon, or `None` at `}`.
    #[inline]
    pub fn member(&mut self, first: bool) -> Result<Option<Cow<'a, str>>> {
        match self.peek() {
            b'}' if first => {
                self.at += 1;
                return Ok(None);
            }
            b'"' => {}
            _ => return Err(self.unexpected(self.at, "looking for beginning of object key string")),
        }
        let name = self.string()?;
        if self.peek() != b':' {
            return Err(self.unexpected(self.at, "after object key"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// After a member's value: whether another follows.
    #[inline]
    pub fn more_members(&mut self) -> Result<bool> {
        let more = match self.peek() {
            b',' => true,
            b'}' => false,
            _ => return Err(self.unexpected(self.at, "after object key:value pair")),
        };
        self.at += 1;
        Ok(more)
    }

    /// After `[`: whether there is an item.
    #[inline]
    pub fn first_item(&mut self) -> bool {
        let empty = self.peek() == b']';
        self.at += usize::from(empty);
        !empty
    }

    /// After an item: whether another follows.
    #[inline]
    pub fn more_items(&mut self) -> Result<bool> {
        let more = match self.peek() {
            b',' => true,
            b']' => false,
            _ => return Err(self.unexpected(self.at, "after array element")),
        };
        self.at += 1;
        Ok(more)
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            0 if self.at >= self.text.len() => Ok(()),
            _ => Err(self.unexpected(self.at, "after top-level value")),
        }
    }

    /// A string, at its opening quote.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at + 1;
        let end = plain_end(self.bytes(), start);
        match self.bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                // `start` and `end` are beside ASCII bytes.
                Ok(Cow::Borrowed(&self.text[start..end]))
            }
            Some(b'\\') => self.escaped(start, end).map(Cow::Owned),
            _ => Err(self.unexpected(end, "in string literal")),
        }
    }

    fn escaped(&mut self, start: usize, mut at: usize) -> Result<String> {
        let mut text = String::with_capacity((at - start) * 2 + 16);
        text.push_str(&self.text[start..at]);
        loop {
            match self.bytes().get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(text);
                }
                Some(b'\\') => at = self.escape(at + 1, &mut text)?,
                _ => return Err(self.unexpected(at, "in string literal")),
            }
            let end = plain_end(self.bytes(), at);
            text.push_str(&self.text[at..end]);
            at = end;
        }
    }

    /// One escape, behind its backslash; returns where it ends.
    fn escape(&self, at: usize, text: &mut String) -> Result<usize> {
        let plain = match self.bytes().get(at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.hex(at + 1)?;
                let after = at + 5;
                if (0xD800..0xDC00).contains(&unit) && self.bytes()[after..].starts_with(b"\\u") {
                    let low = self.hex(after + 2)?;
                    if (0xDC00..0xE000).contains(&low) {
                        let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        return Ok(after + 6);
                    }
                }
                text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(after);
            }
            _ => return Err(self.unexpected(at, "in string escape code")),
        };
        text.push(plain);
        Ok(at + 1)
    }

    fn hex(&self, at: usize) -> Result<u32> {
        (at..at + 4).try_fold(0, |sum, at| match self.bytes().get(at) {
            Some(byte) if byte.is_ascii_hexdigit() => {
                Ok(sum << 4 | (*byte as char).to_digit(16).expect("checked to be a hex digit"))
            }
            _ => Err(self.unexpected(at, "in \\u hexadecimal character escape")),
        })
    }

    /// A number, at its first byte (`-` or a digit).
    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>> {
        let bytes = self.bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let first = start + usize::from(bytes[start] == b'-');
        let mut at = match bytes.get(first) {
            Some(b'0') => first + 1,
            Some(b'1'..=b'9') => digits(first),
            _ => return Err(self.unexpected(first, "in numeric literal")),
        };
        let mut integer = true;
        if bytes.get(at) == Some(&b'.') {
            integer = false;
            let end = digits(at + 1);
            if end == at + 1 {
                return Err(self.unexpected(end, "after decimal point in numeric literal"));
            }
            at = end;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            integer = false;
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at + 1 + sign);
            if end == at + 1 + sign {
                return Err(self.unexpected(end, "in exponent of numeric literal"));
            }
            at = end;
        }
        self.at = at;
        Ok(Number { text: &self.text[start..at], integer })
    }

    /// `true`, `false` or `null`, at its first byte.
    #[inline]
    pub fn literal(&mut self, word: &'static str) -> Result<()> {
        let bytes = self.bytes();
        if bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        let same = bytes[self.at..].iter().zip(word.bytes()).take_while(|(a, b)| **a == *b).count();
        let expected = word.as_bytes()[same] as char;
        Err(self.unexpected(self.at + same, &format!("in literal {word} (expecting '{expected}')")))
    }

    /// Skips a value, checking that it is one. Needs no stack.
    pub fn skip(&mut self) -> Result<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                b'{' => {
                    self.at += 1;
                    if self.member(true)?.is_some() {
                        open.push(b'{');
                        Self::check_depth(&open)?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.first_item() {
                        open.push(b'[');
                        Self::check_depth(&open)?;
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => drop(self.number()?),
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(self.no_value()),
            }
            loop {
                match open.last() {
                    None => return Ok(()),
                    Some(b'{') if self.more_members()? => {
                        self.member(false)?;
                        break;
                    }
                    Some(b'[') if self.more_items()? => break,
                    Some(_) => drop(open.pop()),
                }
            }
        }
    }

    fn check_depth(open: &[u8]) -> Result<()> {
        match open.last() {
            Some(last) if open.len() > MAX_SKIPPED_DEPTH => {
                Err(syntax(format!("invalid character '{}' exceeded max depth", *last as char)))
            }
            _ => Ok(()),
        }
    }
}

/// The first byte from `at` on that ends plain text in a string: a quote, a
/// backslash or a control character.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        // The lowest set bit is exact; those above it may be false.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let found = zero(word ^ (ONES * b'"' as u64))
            | zero(word ^ (ONES * b'\\' as u64))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGHS);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return at;
        }
        at += 1;
    }
    at
}

/// A byte as Go's scanner quotes it: as the character of that number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        0x0b => r"'\v'".into(),
        0x0c => r"'\f'".into(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", byte as char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(text: &str) -> Result<()> {
        let mut lexer = Lexer::new(text);
        lexer.skip()?;
        lexer.end()
    }

    #[test]
    fn syntax_errors_are_gos() {
        for (text, error) in [
            (r#"{"apiVersion":"v1","#, "unexpected end of JSON input"),
            ("", "unexpected end of JSON input"),
            ("{a}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("1 x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("1.", "unexpected end of JSON input"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e", "unexpected end of JSON input"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            (r#""\q""#, "invalid character 'q' in string escape code"),
            (r#""\u12g4""#, "invalid character 'g' in \\u hexadecimal character escape"),
        ] {
            assert_eq!(skip(text), Err(DecodeError::Syntax(error.into())), "{text}");
        }
        for text in ["{}", "[]", r#"{"a":[1,-2.5e3,{"b":null}],"c":"\u00e9\n"}"#, " true "] {
            assert_eq!(skip(text), Ok(()), "{text}");
        }
        assert!(skip(&"[".repeat(20_000)).is_err());
    }

    #[test]
    fn strings_are_unescaped() {
        for (text, value) in [
            (r#""plain""#, "plain"),
            (r#""a\"b\\c\/d""#, "a\"b\\c/d"),
            (r#""\u00e9\ud83d\ude00""#, "é😀"),
            (r#""\ud800x""#, "\u{fffd}x"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (
                "\"a long text, longer than one word of eight bytes é\"",
                "a long text, longer than one word of eight bytes é",
            ),
        ] {
            assert_eq!(Lexer::new(text).string().unwrap(), value, "{text}");
        }
    }
}
