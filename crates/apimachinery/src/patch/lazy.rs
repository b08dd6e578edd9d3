//! A document as the patch library holds it: what no operation reached into
//! stays as it was written, the rest is taken apart, and its members come out in
//! the order of their names.

use std::collections::BTreeMap;

use crate::{Key, Value};

/// A value, or the parts of one.
#[derive(Clone, Debug, Default)]
pub(super) enum Node {
    #[default]
    Null,
    /// As it was written.
    Whole(Value),
    Members(BTreeMap<String, Node>),
    Items(Vec<Node>),
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        if value.is_null() { Node::Null } else { Node::Whole(value) }
    }
}

impl From<Node> for Value {
    fn from(node: Node) -> Self {
        match node {
            Node::Null => Value::Null,
            Node::Whole(value) => value,
            Node::Members(members) => Value::Object(
                members.into_iter().map(|(name, node)| (Key::from(name), node.into())).collect(),
            ),
            Node::Items(items) => Value::Array(items.into_iter().map(Value::from).collect()),
        }
    }
}

impl Node {
    /// Takes an object or a list apart; false for all else.
    pub fn take_apart(&mut self) -> bool {
        match self {
            Node::Members(_) | Node::Items(_) => true,
            Node::Whole(Value::Object(object)) => {
                let members = std::mem::take(object);
                *self = Node::Members(
                    members.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect(),
                );
                true
            }
            Node::Whole(Value::Array(items)) => {
                *self = Node::Items(std::mem::take(items).into_iter().map(Node::from).collect());
                true
            }
            _ => false,
        }
    }

    /// The members of an object, which is taken apart.
    pub fn members(&mut self) -> Option<&mut BTreeMap<String, Node>> {
        if matches!(self, Node::Whole(Value::Object(_))) {
            self.take_apart();
        }
        match self {
            Node::Members(members) => Some(members),
            _ => None,
        }
    }

    /// The items of a list, which is taken apart.
    pub fn items(&mut self) -> Option<&mut Vec<Node>> {
        if matches!(self, Node::Whole(Value::Array(_))) {
            self.take_apart();
        }
        match self {
            Node::Items(items) => Some(items),
            _ => None,
        }
    }

    /// The item of a list that `token` names.
    ///
    /// # Errors
    /// The library's words for a token that names none.
    pub fn item(&mut self, token: &str) -> Result<&mut Node, String> {
        let items = self.items().ok_or("no list")?;
        let at = index(token, items.len())?;
        Ok(&mut items[at])
    }

    /// Whether both are the same. Both are taken apart as far as they are compared.
    pub fn equals(&mut self, other: &mut Node) -> bool {
        self.take_apart();
        match self {
            Node::Null => matches!(other, Node::Null),
            Node::Whole(value) => matches!(other, Node::Whole(other) if value == other),
            Node::Members(members) => other.members().is_some_and(|others| {
                members.len() == others.len()
                    && members
                        .iter_mut()
                        .all(|(name, node)| others.get_mut(name).is_some_and(|other| node.equals(other)))
            }),
            Node::Items(items) => other.items().is_some_and(|others| {
                items.len() == others.len()
                    && items.iter_mut().zip(others).all(|(node, other)| node.equals(other))
            }),
        }
    }
}

/// An item's place below `length`; negative indexes count from the end.
pub(super) fn index(token: &str, length: usize) -> Result<usize, String> {
    let at = number(token)?;
    let from_end = if at < 0 { i64::try_from(length).unwrap_or(i64::MAX) } else { 0 };
    usize::try_from(at + from_end)
        .ok()
        .filter(|&at| at < length)
        .ok_or_else(|| format!("Unable to access invalid index: {at}: invalid index detected"))
}

/// A number in Go's words where it is none.
pub(super) fn number(token: &str) -> Result<i64, String> {
    let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
    let why = match token.parse() {
        Ok(number) => return Ok(number),
        Err(_) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            "value out of range"
        }
        Err(_) => "invalid syntax",
    };
    Err(format!("strconv.Atoi: parsing {}: {why}", crate::field::quote(token)))
}
