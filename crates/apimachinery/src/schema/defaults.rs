//! Defaults as data: what Kubernetes sets unconditionally, by kind and path.
//!
//! A default is set where its parent exists and the field is unset (absent,
//! null, or the zero value of what is no pointer). Rules with conditions are
//! the strategies' matter and run before, so that these find the rest.

use std::collections::BTreeMap;

use super::{TypeId, Types};
use crate::quantity::Quantity;
use crate::{Object, Value};

/// One row: a path such as `.spec.containers[].imagePullPolicy` and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultRow {
    pub path: String,
    pub value: Value,
}

/// The defaults of one kind, as a tree that is walked beside the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    node: Node,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    /// The struct here, so that members are kept in Go's order.
    ty: Option<TypeId>,
    values: Vec<Leaf>,
    /// Members that are lists of resources: their amounts are kept in thousandths.
    amounts: Vec<&'static str>,
    children: Vec<(&'static str, Node)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Leaf {
    name: &'static str,
    pointer: bool,
    value: Value,
}

impl Defaults {
    /// Compiles the rows of a kind. A row whose path the type does not have is
    /// returned, so that a caller can refuse it.
    pub fn compile<'r>(types: &Types, ty: TypeId, rows: &'r [DefaultRow]) -> (Self, Vec<&'r DefaultRow>) {
        let mut defaults = Self { node: Node { ty: Some(ty), ..Node::default() } };
        let unknown = rows.iter().filter(|row| defaults.add(types, ty, row).is_none()).collect();
        (defaults, unknown)
    }

    fn add(&mut self, types: &Types, root: TypeId, row: &DefaultRow) -> Option<()> {
        let (node, last) = self.node_at(types, root, &row.path)?;
        let field = types.get(node.ty?).field(last)?;
        node.values.push(Leaf { name: field.json, pointer: field.pointer, value: row.value.clone() });
        Some(())
    }

    /// Adds a path whose amounts are rounded up to thousandths (v1
    /// SetDefaults_ResourceList); nothing where the type does not have it.
    pub fn round(&mut self, types: &Types, root: TypeId, path: &str) -> Option<()> {
        let (node, last) = self.node_at(types, root, path)?;
        let field = types.get(node.ty?).field(last)?;
        node.amounts.push(field.json);
        Some(())
    }

    /// The struct above the last name of a path, and that name.
    fn node_at<'p>(&mut self, types: &Types, root: TypeId, path: &'p str) -> Option<(&mut Node, &'p str)> {
        let mut node = &mut self.node;
        node.ty = Some(root);
        let mut at = root;
        let path = path.trim_start_matches('.');
        let (before, last) =
            path.rsplit_once('.').map_or((None, path), |(before, last)| (Some(before), last));
        for name in before.into_iter().flat_map(|before| before.split('.')) {
            let name = name.trim_end_matches("[]").trim_end_matches("{}");
            let field = types.get(at).field(name)?;
            at = field.item_struct()?;
            let child = match node.children.iter().position(|(other, _)| *other == field.json) {
                Some(child) => child,
                None => {
                    node.children.push((field.json, Node { ty: Some(at), ..Node::default() }));
                    node.children.len() - 1
                }
            };
            node = &mut node.children[child].1;
        }
        Some((node, last))
    }

    /// Sets what is unset.
    pub fn apply(&self, types: &Types, object: &mut Value) {
        self.node.apply(types, object);
    }
}

impl Node {
    fn apply(&self, types: &Types, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(types, item)),
            Value::Object(object) => {
                if self.set(object) {
                    self.reorder(types, object);
                }
                for name in &self.amounts {
                    if let Some(amounts) = object.get_mut(name) {
                        round_up(amounts);
                    }
                }
                for (name, child) in &self.children {
                    if let Some(member) = object.get_mut(name) {
                        child.apply(types, member);
                    }
                }
            }
            _ => {}
        }
    }

    fn set(&self, object: &mut Object) -> bool {
        let mut added = false;
        for leaf in &self.values {
            match object.get_mut(leaf.name) {
                Some(member) if is_unset(member, leaf.pointer) => *member = leaf.value.clone(),
                Some(_) => {}
                None => {
                    object.push_new(leaf.name, leaf.value.clone());
                    added = true;
                }
            }
        }
        added
    }

    fn reorder(&self, types: &Types, object: &mut Object) {
        if let Some(ty) = self.ty.map(|id| types.get(id)) {
            object.raw_mut().sort_by_cached_key(|(name, _)| ty.index(name).unwrap_or(usize::MAX));
        }
    }
}

/// Amounts finer than thousandths are rounded up.
pub fn round_up(amounts: &mut Value) {
    let fine = |text: &str| text.bytes().any(|byte| matches!(byte, b'.' | b'u' | b'n' | b'e'));
    let rounded: Vec<(String, String)> = amounts
        .members()
        .filter(|(_, amount)| fine(amount.text()))
        .filter_map(|(name, amount)| {
            let exact = Quantity::parse(amount.text()).ok()?;
            let whole = Quantity::from_milli(exact.milli_value());
            (whole > exact).then(|| (name.to_owned(), whole.to_string()))
        })
        .collect();
    for (name, amount) in rounded {
        amounts.set(name, amount);
    }
}

fn is_unset(value: &Value, pointer: bool) -> bool {
    match value {
        Value::Null => true,
        _ if pointer => false,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// The defaults of every kind, compiled.
#[derive(Clone, Debug, Default)]
pub struct DefaultsTable {
    by_type: BTreeMap<TypeId, Defaults>,
}

impl DefaultsTable {
    pub fn insert(&mut self, ty: TypeId, defaults: Defaults) {
        self.by_type.insert(ty, defaults);
    }

    /// Those of a kind, to be added to.
    pub fn entry(&mut self, ty: TypeId) -> &mut Defaults {
        self.by_type.entry(ty).or_default()
    }

    /// The defaults of a kind; none for kinds without any.
    pub fn get(&self, ty: TypeId) -> Option<&Defaults> {
        self.by_type.get(&ty)
    }
}
