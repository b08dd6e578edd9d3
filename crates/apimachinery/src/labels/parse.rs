//! The text form of label selectors, with upstream's words for each error.

use super::{Operator, Requirement, SelectorError};
use crate::validation::label_key;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Word,
    In,
    NotIn,
    Comma,
    Open,
    Close,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: scan(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek_value() {
            (Token::Word | Token::Not, _) => {
                let requirement = parser
                    .requirement()
                    .map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?;
                requirements.push(requirement);
                match parser.take_value() {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => match parser.peek_value() {
                        (Token::Word | Token::Not, _) => {}
                        (_, found) => {
                            return fail(format!("found '{found}', expected: identifier after ','"));
                        }
                    },
                    (_, found) => return fail(format!("found '{found}', expected: ',' or 'end of string'")),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, found) => {
                return fail(format!("found '{found}', expected: !, identifier, or 'end of string'"));
            }
        }
    }
}

fn fail<T>(text: String) -> Result<T, SelectorError> {
    Err(SelectorError(text))
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// All tokens, with the end as the last.
fn scan(text: &str) -> Vec<(Token, &str)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if is_space(bytes[at]) {
            at += 1;
            continue;
        }
        if is_symbol(bytes[at]) {
            let token = match (bytes[at], bytes.get(at + 1)) {
                (b'=', Some(b'=')) => Token::DoubleEquals,
                (b'!', Some(b'=')) => Token::NotEquals,
                (b'=', _) => Token::Equals,
                (b'!', _) => Token::Not,
                (b'(', _) => Token::Open,
                (b')', _) => Token::Close,
                (b',', _) => Token::Comma,
                (b'>', _) => Token::Greater,
                _ => Token::Less,
            };
            at += if matches!(token, Token::DoubleEquals | Token::NotEquals) { 2 } else { 1 };
            tokens.push((token, &text[start..at]));
            continue;
        }
        while at < bytes.len() && !is_symbol(bytes[at]) && !is_space(bytes[at]) {
            at += 1;
        }
        let word = &text[start..at];
        let token = match word {
            "in" => Token::In,
            "notin" => Token::NotIn,
            _ => Token::Word,
        };
        tokens.push((token, word));
    }
    tokens.push((Token::End, ""));
    tokens
}

impl<'a> Parser<'a> {
    /// The next token where `in` and `notin` are words like others.
    fn peek_value(&self) -> (Token, &'a str) {
        match self.tokens.get(self.at).copied().unwrap_or((Token::End, "")) {
            (Token::In | Token::NotIn, word) => (Token::Word, word),
            other => other,
        }
    }

    fn take_value(&mut self) -> (Token, &'a str) {
        let token = self.peek_value();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.take_value();
        let absent = token.0 == Token::Not;
        if absent {
            token = self.take_value();
        }
        let (Token::Word, key) = token else {
            return fail(format!("found '{}', expected: identifier", token.1));
        };
        let wrong = label_key(key);
        if !wrong.is_empty() {
            // Upstream prints the path that is not there.
            return fail(format!("<nil>: Invalid value: {key:?}: {}", wrong.join("; ")));
        }
        if absent {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek_value().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let (token, found) = self.tokens.get(self.at).copied().unwrap_or((Token::End, ""));
        self.at += 1;
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => return fail(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        let (token, found) = self.take_value();
        if token != Token::Open {
            return fail(format!("found '{found}' expected: '('"));
        }
        match self.peek_value() {
            (Token::Word | Token::Comma, _) => {
                let values = self.words()?;
                // Words end before the closing bracket only.
                self.take_value();
                Ok(values)
            }
            (Token::Close, _) => {
                self.take_value();
                // Nothing between the brackets is the empty value.
                Ok(vec![String::new()])
            }
            (_, found) => fail(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    /// `a,b`, where nothing between commas is the empty value.
    fn words(&mut self) -> Result<Vec<String>, SelectorError> {
        let mut values: Vec<String> = Vec::new();
        loop {
            match self.take_value() {
                (Token::Word, word) => {
                    values.push(word.to_owned());
                    match self.peek_value() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return fail(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek_value().0 {
                        Token::Close => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.take_value();
                            values.push(String::new());
                        }
                        _ => {}
                    }
                }
                (_, found) => return fail(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek_value().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take_value() {
            (Token::Word, word) => Ok(word.to_owned()),
            (_, found) => fail(format!("found '{found}', expected: identifier")),
        }
    }
}
