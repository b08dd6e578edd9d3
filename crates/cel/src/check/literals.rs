//! Checks of literals that no type says: patterns, durations, moments and
//! formats that a call would refuse each time, lists and maps of mixed types.

use std::collections::BTreeSet;

use crate::functions::format::{self, Clause};
use crate::functions::{regex, time};
use crate::syntax::{Expr, Literal, Node};
use crate::types::Type;

/// `type_of` is the type of a node.
pub(super) fn check(expr: &Expr, type_of: &dyn Fn(&Expr) -> Type, problems: &mut Vec<(u32, String)>) {
    check_mixed(expr, type_of, problems);
    expr.walk(&mut |node| {
        let Node::Call { function, target, args } = &node.node else { return };
        if let ("format", Some(text), [values]) = (&**function, target, args.as_slice())
            && let (Node::Literal(Literal::String(text)), Node::List(values)) = (&text.node, &values.node)
        {
            problems.extend(check_format(node.at, text, values, type_of));
            return;
        }
        let arg = match (&**function, target, args.as_slice()) {
            ("matches", Some(_), [pattern]) | ("matches", None, [_, pattern]) => pattern,
            ("duration" | "timestamp", None, [text]) => text,
            _ => return,
        };
        let holds = match (&**function, &arg.node) {
            ("matches", Node::Literal(Literal::String(text))) => regex::compile(text).is_ok(),
            ("duration", Node::Literal(Literal::String(text))) => time::parse_duration(text).is_ok(),
            ("timestamp", Node::Literal(Literal::String(text))) => time::parse_timestamp(text).is_ok(),
            ("timestamp", Node::Literal(Literal::Int(seconds))) => time::of_seconds(*seconds).is_ok(),
            _ => return,
        };
        if !holds {
            problems.push((arg.at, format!("invalid {function} argument")));
        }
    });
}

/// Tells of lists and maps whose parts are of several types, but for those
/// that a format is given.
fn check_mixed(expr: &Expr, type_of: &dyn Fn(&Expr) -> Type, problems: &mut Vec<(u32, String)>) {
    let mut exempt = BTreeSet::new();
    let address = |node: &Expr| std::ptr::from_ref(node).addr();
    expr.walk(&mut |node| {
        if matches!(&node.node, Node::Call { function, .. } if function == "format") {
            node.walk(&mut |below| {
                exempt.insert(address(below));
            });
        }
    });
    // What is in an optional part counts.
    let of = |part: &Expr, optional: bool| match type_of(part) {
        Type::Optional(of) if optional => (*of).clone(),
        ty => ty,
    };
    let told = |first: &Type, ty: &Type| format!("expected type '{first}' but found '{ty}'");
    expr.walk(&mut |node| match &node.node {
        _ if exempt.contains(&address(node)) => {}
        Node::List(items) => {
            let Some((first, rest)) = items.split_first() else { return };
            let first = of(&first.0, first.1);
            let odd =
                rest.iter().map(|item| (item.0.at, of(&item.0, item.1))).find(|(_, ty)| !ty.is_same(&first));
            problems.extend(odd.map(|(at, ty)| (at, told(&first, &ty))));
        }
        Node::Map(entries) => {
            let Some((first, rest)) = entries.split_first() else { return };
            let (key, value) = (of(&first.key, false), of(&first.value, first.optional));
            for entry in rest {
                for (part, optional, first) in
                    [(&entry.key, false, &key), (&entry.value, entry.optional, &value)]
                {
                    let ty = of(part, optional);
                    if !ty.is_same(first) {
                        problems.push((part.at, told(first, &ty)));
                    }
                }
            }
        }
        _ => {}
    });
}

/// What is wrong with a format or one of its values.
fn check_format(
    at: u32,
    text: &str,
    values: &[(Expr, bool)],
    type_of: &dyn Fn(&Expr) -> Type,
) -> Option<(u32, String)> {
    let mut place = at;
    let wanted = format::interpolate(text, values.len(), &mut String::new(), |number, clause| {
        match unfit(&values[number].0, clause, type_of) {
            None => Ok(String::new()),
            Some((at, why)) => {
                place = at;
                Err((Some(number), why))
            }
        }
    });
    match wanted {
        Err((_, why)) => Some((place, why)),
        Ok(wanted) if values.len() > wanted => {
            let given = values.len();
            Some((
                at,
                format!("too many arguments supplied to string.format (expected {wanted}, got {given})"),
            ))
        }
        Ok(_) => None,
    }
}

/// The value, or what in it, that a clause does not write.
fn unfit(value: &Expr, clause: Clause, type_of: &dyn Fn(&Expr) -> Type) -> Option<(u32, String)> {
    let ty = type_of(value);
    if ty.is_dyn() {
        return None;
    }
    let name = ty.runtime_name();
    if !clause.takes_all() {
        return (!clause.takes(&name)).then(|| (value.at, clause.refusal(&name)));
    }
    let is_fit = !matches!(ty, Type::Object(_) | Type::Optional(_) | Type::Opaque(_) | Type::Param(_));
    if !is_fit {
        return Some((value.at, clause.refusal(&name)));
    }
    match &value.node {
        Node::List(items) => items.iter().find_map(|(item, _)| unfit(item, clause, type_of)),
        Node::Map(entries) => {
            let mut parts = entries.iter().flat_map(|entry| [&entry.key, &entry.value]);
            parts.find_map(|part| unfit(part, clause, type_of))
        }
        _ => None,
    }
}
