//! Checks of literals that no type says: patterns, durations and moments that
//! a call would refuse each time.

use crate::functions::{regex, time};
use crate::syntax::{Expr, Literal, Node};

pub(super) fn check(expr: &Expr, problems: &mut Vec<(u32, String)>) {
    expr.walk(&mut |node| {
        let Node::Call { function, target, args } = &node.node else { return };
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
