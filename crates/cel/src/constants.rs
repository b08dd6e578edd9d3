//! Parts of an expression that are always the same, which upstream computes
//! before it runs any: conversions of literals, and patterns.

use crate::error::Error;
use crate::eval::constant;
use crate::functions::{self, regex};
use crate::stack;
use crate::syntax::{Expr, Node};
use crate::value::Val;

/// Functions that convert a value.
const CONVERSIONS: [&str; 9] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint"];

/// Whether every constant part can be had.
///
/// # Errors
/// Why the first one cannot.
pub(crate) fn check(expr: &Expr) -> Result<(), Error> {
    value(expr).map(drop)
}

/// The value, where it is always the same.
fn value(expr: &Expr) -> Result<Option<Val<'_>>, Error> {
    stack::with_room(|| match &expr.node {
        Node::Literal(literal) => Ok(Some(constant(literal))),
        Node::Call { function, target, args } => call(function, target.as_deref(), args),
        Node::Ident(_) => Ok(None),
        Node::Select { operand, .. } => value(operand).map(|_| None),
        Node::List(items) => items.iter().try_for_each(|(item, _)| check(item)).map(|()| None),
        Node::Map(entries) => entries
            .iter()
            .try_for_each(|entry| check(&entry.key).and_then(|()| check(&entry.value)))
            .map(|()| None),
        Node::Struct { fields, .. } => fields.iter().try_for_each(|field| check(&field.value)).map(|()| None),
        Node::Comprehension(fold) => {
            let parts = [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result];
            parts.into_iter().try_for_each(check).map(|()| None)
        }
    })
}

fn call<'a>(function: &str, target: Option<&'a Expr>, args: &'a [Expr]) -> Result<Option<Val<'a>>, Error> {
    let mut values = Vec::with_capacity(args.len() + 1);
    for part in target.into_iter().chain(args) {
        values.push(value(part)?);
    }
    if CONVERSIONS.contains(&function)
        && let [Some(value)] = values.as_slice()
    {
        return functions::call(function, vec![value.clone()]).map(Some);
    }
    if matches!(function, "matches" | "find" | "findAll")
        && let Some(Some(Val::String(pattern))) = values.get(1)
    {
        regex::compile(pattern)?;
    }
    Ok(None)
}
