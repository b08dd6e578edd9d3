//! The table of overloads, read once from `declarations.txt`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::types::Type;

/// One way to call a function. Of a call on a target, `args[0]` is the target.
#[derive(Debug)]
pub(crate) struct Overload {
    pub is_member: bool,
    pub args: Vec<Type>,
    pub result: Type,
}

static OVERLOADS: LazyLock<BTreeMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut table: BTreeMap<&'static str, Vec<Overload>> = BTreeMap::new();
    for line in include_str!("declarations.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, overload) = parse(line);
        table.entry(name).or_default().push(overload);
    }
    for comparison in ["_<=_", "_>_", "_>=_"] {
        let same = table["_<_"].iter().map(|overload| Overload {
            is_member: false,
            args: overload.args.clone(),
            result: Type::Bool,
        });
        let same = same.collect();
        table.insert(comparison, same);
    }
    table
});

/// The overloads of a function, or None where there is no such function.
pub(crate) fn overloads(function: &str) -> Option<&'static [Overload]> {
    OVERLOADS.get(function).map(Vec::as_slice)
}

/// The type that a name stands for in an expression (`type(x) == int`).
pub(crate) fn named_type(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "optional_type" => Type::optional(Type::Dyn),
        "string" => Type::String,
        "type" => Type::Kind(std::sync::Arc::new(Type::Dyn)),
        "uint" => Type::Uint,
        _ => return opaque(name).map(Type::Opaque),
    })
}

fn opaque(name: &str) -> Option<&'static str> {
    [
        "kubernetes.NamedFormat",
        "kubernetes.Quantity",
        "kubernetes.Semver",
        "kubernetes.URL",
        "kubernetes.authorization.Authorizer",
        "kubernetes.authorization.Decision",
        "kubernetes.authorization.GroupCheck",
        "kubernetes.authorization.PathCheck",
        "kubernetes.authorization.ResourceCheck",
        "net.CIDR",
        "net.IP",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// A line of the table. It is part of the program: a line that cannot be read
/// is a bug that the first test finds.
fn parse(line: &'static str) -> (&'static str, Overload) {
    let (target, call) = match line.split_once(": ") {
        Some((target, call)) => (Some(target), call),
        None => (None, line),
    };
    let open = call.find('(').expect("a call has arguments");
    let close = matching(call, open);
    let mut args: Vec<Type> = target.into_iter().map(ty).collect();
    args.extend(split(&call[open + 1..close]).into_iter().map(ty));
    let overload = Overload { is_member: target.is_some(), args, result: ty(&call[close + 1..]) };
    (&call[..open], overload)
}

fn ty(text: &str) -> Type {
    let text = text.trim();
    if let Some(open) = text.find('(') {
        let inner: Vec<Type> = split(&text[open + 1..text.len() - 1]).into_iter().map(ty).collect();
        return match (&text[..open], inner.as_slice()) {
            ("list", [element]) => Type::list(element.clone()),
            ("map", [key, value]) => Type::map(key.clone(), value.clone()),
            ("optional_type", [of]) => Type::optional(of.clone()),
            ("type", [of]) => Type::Kind(std::sync::Arc::new(of.clone())),
            (other, _) => panic!("no type constructor {other}"),
        };
    }
    match text {
        "A" => Type::Param(0),
        "B" => Type::Param(1),
        "dyn" => Type::Dyn,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        name => named_type(name).unwrap_or_else(|| panic!("no type {name}")),
    }
}

fn matching(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("{text:?} closes no parenthesis");
}

/// The parts of a list that commas outside parentheses divide.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let index = overloads("_[?_]").expect("declared");
        assert_eq!(index.len(), 4);
        assert_eq!(index[3].args[0].to_string(), "optional_type(map(_var0, _var1))");
        assert!(overloads("_>=_").is_some());
        assert!(overloads("launch").is_none());
    }
}
