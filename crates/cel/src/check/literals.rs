//! Checks of literals that no type says: patterns, durations and moments that
//! a call would refuse each time.

use crate::functions::{regex, time};
use crate::syntax::{Expr, Literal, Node};

pub(super) fn check(expr: &Expr, problems: &mut Vec<(u32, String)>) {
    expr.walk(&mut |node| {
        let Node::Call { function, target, args } = &node.node else { return };
        if let ("format", Some(text), [values]) = (&**function, target, args.as_slice())
            && let (Node::Literal(Literal::String(text)), Node::List(values)) = (&text.node, &values.node)
        {
            let (wanted, given) = (clauses(text), values.len());
            if given > wanted {
                let why =
                    format!("too many arguments supplied to string.format (expected {wanted}, got {given})");
                problems.push((node.at, why));
            }
            return;
        }
        let arg = match (&**function, target, args.as_slice()) {
            ("matches", Some(_), [pattern]) | ("matches", None, [_, pattern]) => pattern,
            ("duration" | "timestamp", None, [text]) => text,
            _ => return,
        };
        let Node::Literal(Literal::String(text)) = &arg.node else { return };
        let holds = match &**function {
            "matches" => regex::compile(text).is_ok(),
            "duration" => time::parse_duration(text).is_ok(),
            _ => time::parse_timestamp(text).is_ok(),
        };
        if !holds {
            problems.push((arg.at, format!("invalid {function} argument")));
        }
    });
}

/// How many values a format asks for.
fn clauses(text: &str) -> usize {
    let mut letters = text.chars();
    let mut count = 0;
    while let Some(letter) = letters.next() {
        if letter == '%' && letters.next().is_some_and(|next| next != '%') {
            count += 1;
        }
    }
    count
}
