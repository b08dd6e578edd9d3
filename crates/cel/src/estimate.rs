//! What an expression may cost, before it runs: cel-go's static estimate with
//! Kubernetes' functions. Sizes come from the types.

use std::collections::BTreeMap;

use crate::functions::cost::{matching, traversal};
use crate::schema::MAX_REQUEST;
use crate::stack;
use crate::syntax::{Comprehension, Expr, Literal, Node};
use crate::types::{Type, UNLIMITED};

/// The least and the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    pub min: u64,
    pub max: u64,
}

impl Estimate {
    const fn exactly(cost: u64) -> Self {
        Self { min: cost, max: cost }
    }

    fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn or(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    fn scaled(self, cost: impl Fn(u64) -> u64) -> Self {
        // What nothing limits stays so.
        let of = |size: u64| if size == UNLIMITED { UNLIMITED } else { cost(size) };
        Self { min: of(self.min), max: of(self.max) }
    }
}

/// A call that makes a list.
const ALLOCATING: Estimate = Estimate::exactly(11);

/// The number that an expression is, where it is one.
fn literal(expr: &Expr) -> Option<u64> {
    match &expr.node {
        Node::Literal(Literal::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}

pub(crate) fn of(expr: &Expr, types: &[Type]) -> Estimate {
    let mut by_node = BTreeMap::new();
    let mut root = None;
    let mut next = 0;
    expr.walk(&mut |node| {
        if matches!(&node.node, Node::Ident(name) if name == "self") {
            root = Some(&types[next]);
        }
        by_node.insert(std::ptr::from_ref(node).addr(), &types[next]);
        next += 1;
    });
    Estimator { types: by_node, root, sizes: BTreeMap::new(), locals: Vec::new() }.cost(expr)
}

struct Estimator<'a> {
    types: BTreeMap<usize, &'a Type>,
    /// The type of `self`, where the expression names it.
    root: Option<&'a Type>,
    /// The sizes of what calls and literals give, by their nodes.
    sizes: BTreeMap<usize, Estimate>,
    /// The sizes of variables of comprehensions.
    locals: Vec<(&'a str, Option<Estimate>)>,
}

/// Whether an expression names a place in the object, so that its schema says
/// how large it is.
fn is_place(expr: &Expr) -> bool {
    match &expr.node {
        Node::Ident(name) => matches!(&**name, "self" | "oldSelf"),
        Node::Select { operand, .. } => is_place(operand),
        Node::Call { function, target: None, args } if &**function == "_[_]" => {
            args.first().is_some_and(is_place)
        }
        _ => false,
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

impl<'a> Estimator<'a> {
    fn ty(&self, expr: &Expr) -> &'a Type {
        self.types.get(&address(expr)).copied().unwrap_or(&Type::Dyn)
    }

    /// How many characters, bytes or elements the value has.
    fn size(&self, expr: &Expr) -> Estimate {
        if let Some(size) = self.sizes.get(&address(expr)) {
            return *size;
        }
        if let Node::Ident(name) = &expr.node
            && let Some((_, Some(size))) = self.locals.iter().rev().find(|(known, _)| known == name)
        {
            return *size;
        }
        match self.ty(expr) {
            // Of a schema's values only an integer or string is of any type.
            Type::Dyn if is_place(expr) => Estimate { min: 0, max: MAX_REQUEST - 2 },
            // Upstream looks up the name of a type as if it were `self`.
            Type::Kind(_) if matches!(&expr.node, Node::Ident(_)) => match self.root {
                Some(Type::Dyn) => Estimate { min: 0, max: MAX_REQUEST - 2 },
                Some(root) => Estimate { min: 0, max: root.max_size().unwrap_or(1) },
                None => Estimate { min: 0, max: UNLIMITED },
            },
            Type::Bool
            | Type::Int
            | Type::Uint
            | Type::Double
            | Type::Duration
            | Type::Timestamp
            | Type::Object(_) => Estimate::exactly(1),
            ty => Estimate { min: 0, max: ty.max_size().unwrap_or(UNLIMITED) },
        }
    }

    fn may_be_text(&self, expr: &Expr) -> bool {
        matches!(self.ty(expr), Type::String(_) | Type::Bytes(_) | Type::Dyn | Type::Param(_))
    }

    fn cost(&mut self, expr: &'a Expr) -> Estimate {
        stack::with_room(|| self.node(expr))
    }

    fn node(&mut self, expr: &'a Expr) -> Estimate {
        match &expr.node {
            Node::Literal(literal) => {
                let size = match literal {
                    Literal::String(text) => text.chars().count() as u64,
                    Literal::Bytes(bytes) => bytes.len() as u64,
                    _ => 1,
                };
                self.sizes.insert(address(expr), Estimate::exactly(size));
                Estimate::default()
            }
            Node::Ident(_) => Estimate::exactly(1),
            Node::Select { operand, test, .. } => {
                let of = self.cost(operand);
                if *test { of } else { of.plus(Estimate::exactly(1)) }
            }
            Node::List(elements) => {
                self.sizes.insert(address(expr), Estimate::exactly(elements.len() as u64));
                elements.iter().fold(Estimate::exactly(10), |sum, (element, _)| {
                    let cost = self.cost(element);
                    sum.plus(cost)
                })
            }
            Node::Map(entries) => {
                self.sizes.insert(address(expr), Estimate::exactly(entries.len() as u64));
                entries.iter().fold(Estimate::exactly(30), |sum, entry| {
                    let cost = self.cost(&entry.key).plus(self.cost(&entry.value));
                    sum.plus(cost)
                })
            }
            Node::Struct { fields, .. } => fields.iter().fold(Estimate::exactly(40), |sum, field| {
                let cost = self.cost(&field.value);
                sum.plus(cost)
            }),
            Node::Comprehension(fold) => self.fold(expr, fold),
            Node::Call { function, target, args } => {
                let parts: Vec<&'a Expr> = target.as_deref().into_iter().chain(args).collect();
                self.call(expr, function, &parts)
            }
        }
    }

    fn fold(&mut self, expr: &'a Expr, fold: &'a Comprehension) -> Estimate {
        let depth = self.locals.len();
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        let rounds = self.size(&fold.range);
        self.locals.push((&fold.accumulator, self.sizes.get(&address(&fold.init)).copied()));
        // A key or an element is as large as the range's type says.
        self.locals.push((&fold.variable, None));
        if let Some(name) = &fold.second {
            self.locals.push((name, None));
        }
        let round = self.cost(&fold.condition).plus(self.cost(&fold.step));
        sum = sum.plus(rounds.times(round));
        self.locals.truncate(depth + 1);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(depth);
        if matches!(self.ty(expr), Type::List(_) | Type::Map(_)) {
            self.sizes.insert(address(expr), Estimate { min: 0, max: rounds.max });
        }
        sum
    }

    fn call(&mut self, expr: &'a Expr, function: &str, parts: &[&'a Expr]) -> Estimate {
        let costs: Vec<Estimate> = parts.iter().map(|part| self.cost(part)).collect();
        let all = costs.iter().fold(Estimate::default(), |sum, cost| sum.plus(*cost));
        let size = |at: usize| parts.get(at).map_or(Estimate::exactly(1), |part| self.size(part));
        let is_text = |at: usize| {
            parts.get(at).is_some_and(|part| matches!(self.ty(part), Type::String(_) | Type::Bytes(_)))
        };
        let double = |size: u64| (size as f64 * 0.2).ceil() as u64;
        let mut result: Option<Estimate> = None;
        let own = match function {
            // The second side may never be looked at.
            "_&&_" | "_||_" => {
                return Estimate { min: costs[0].min, max: all.max };
            }
            "_?_:_" => {
                if let [_, yes, no] = parts {
                    result = Some(self.size(yes).or(self.size(no)));
                    self.sizes.extend(result.map(|size| (address(expr), size)));
                }
                return costs[0].plus(costs[1].or(costs[2]));
            }
            "check" => Estimate::exactly(350_000),
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => match self.ty(parts[0]) {
                Type::List(list) => {
                    let of_element = match list.element.max_size() {
                        Some(max) if matches!(list.element, Type::String(_) | Type::Bytes(_)) => {
                            Estimate { min: 0, max }.scaled(traversal)
                        }
                        _ => Estimate::default(),
                    };
                    size(0).times(Estimate::exactly(1).plus(of_element))
                }
                _ => size(0).scaled(traversal),
            },
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                result = Some(size(0));
                size(0).scaled(traversal)
            }
            "url" | "isURL" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver"
            | "isSemver" | "format" => size(0).scaled(traversal),
            "strings.quote" => {
                let bare = size(0);
                let quoted = |size: u64| size.saturating_mul(2).saturating_add(2);
                result = Some(Estimate { min: bare.min.saturating_add(2), max: quoted(bare.max) });
                bare.scaled(traversal)
            }
            // The longest pattern of a named format has 128 characters.
            "validate" => size(1).scaled(traversal).scaled(|cost| cost.saturating_mul(32)),
            "reverse" if matches!(self.ty(parts[0]), Type::List(_)) => {
                result = Some(size(0));
                size(0).plus(ALLOCATING)
            }
            "lists.range" => {
                result =
                    Some(literal(parts[0]).map_or(Estimate { min: 0, max: UNLIMITED }, Estimate::exactly));
                result.unwrap_or_default().plus(ALLOCATING)
            }
            "slice" => {
                let from = parts.get(1).and_then(|part| literal(part)).unwrap_or(0);
                let to = parts.get(2).and_then(|part| literal(part)).unwrap_or(size(0).max);
                // Upstream does not look which is less.
                let left = Estimate::exactly(to.wrapping_sub(from));
                result = Some(left);
                left.plus(ALLOCATING)
            }
            "flatten" => {
                result = Some(size(0));
                let depth = parts.get(1).map_or(1, |part| literal(part).unwrap_or(UNLIMITED));
                size(0).scaled(|size| size.saturating_mul(depth)).plus(ALLOCATING)
            }
            "distinct" | "sort" | "@sortByAssociatedKeys" => {
                let list = parts[usize::from(function == "@sortByAssociatedKeys")];
                let squared = self.size(list).times(self.size(list));
                result = Some(squared);
                let of_texts = function != "distinct"
                    && matches!(self.ty(list), Type::List(list) if matches!(list.element, Type::String(_) | Type::Bytes(_)));
                let factor = if of_texts { 2.1 } else { 2.0 };
                squared.scaled(|size| (size as f64 * factor).ceil() as u64).plus(ALLOCATING)
            }
            "ip" if is_text(0) => size(0).scaled(traversal),
            "ip.isCanonical" => size(0).scaled(double),
            "replace" => {
                let (old, new) = (size(1), size(2));
                let times = size(0).max.checked_div(old.min).unwrap_or_else(|| size(0).max.saturating_add(1));
                result =
                    Some(Estimate { min: 0, max: times.saturating_mul(new.max).saturating_add(size(0).max) });
                size(0).scaled(double)
            }
            "split" => {
                result = Some(Estimate { min: 0, max: size(0).max });
                size(0).scaled(double)
            }
            "join" => {
                let of_element = match self.ty(parts[0]) {
                    Type::List(list) => list.element.max_size().unwrap_or(1),
                    _ => UNLIMITED,
                };
                let between = if parts.len() > 1 { size(1).max } else { 0 };
                let most = size(0).max.saturating_mul(of_element.saturating_add(between));
                result = Some(Estimate { min: 0, max: most });
                Estimate { min: 0, max: most }.scaled(traversal)
            }
            "find" | "findAll" | "matches" => {
                let (text, pattern) = (size(0), size(1));
                result = (function != "matches").then_some(Estimate { min: 0, max: text.max });
                let most = if text.max == UNLIMITED || pattern.max == UNLIMITED {
                    UNLIMITED
                } else {
                    matching(text.max, pattern.max)
                };
                Estimate { min: matching(text.min, pattern.min), max: most }
            }
            "contains" if is_text(0) => size(0).scaled(traversal).times(size(1).scaled(traversal)),
            "startsWith" | "endsWith" => size(1).scaled(traversal),
            "containsIP" => Estimate { min: 1, max: 4 },
            "containsCIDR" => Estimate { min: 3, max: 7 },
            "sets.contains" | "sets.equivalent" | "sets.intersects" => {
                let times = if function == "sets.equivalent" { 2 } else { 1 };
                size(0).times(size(1)).times(Estimate::exactly(times)).plus(Estimate::exactly(1))
            }
            "@in" => match self.ty(parts[1]) {
                Type::List(_) | Type::Dyn => size(1),
                _ => Estimate::exactly(1),
            },
            "_==_" | "_!=_" => {
                let max = size(0).max.min(size(1).max);
                Estimate { min: max.min(1), max }.scaled(traversal)
            }
            "_<_" | "_<=_" | "_>_" | "_>=_" if self.may_be_text(parts[0]) && self.may_be_text(parts[1]) => {
                let max = size(0).max.min(size(1).max);
                Estimate { min: max.min(1), max: max.max(1) }.scaled(traversal)
            }
            "_+_" if is_text(0) => {
                result = Some(size(0).plus(size(1)));
                size(0).plus(size(1)).scaled(traversal)
            }
            "_+_" if matches!(self.ty(parts[0]), Type::List(_)) => {
                result = Some(size(0).plus(size(1)));
                Estimate::exactly(1)
            }
            "dyn" => {
                result = Some(size(0));
                Estimate::exactly(1)
            }
            "bytes" if is_text(0) => {
                // A character takes four bytes at most.
                result = Some(Estimate { min: size(0).min, max: size(0).max.saturating_mul(4) });
                size(0).scaled(traversal)
            }
            "string" => match self.ty(parts[0]) {
                Type::Bytes(_) => {
                    result = Some(Estimate { min: size(0).min / 4, max: size(0).max });
                    size(0).scaled(traversal)
                }
                Type::Dyn => {
                    result = Some(size(0));
                    size(0).scaled(traversal).or(Estimate::exactly(1))
                }
                _ => Estimate::exactly(1),
            },
            _ => Estimate::exactly(1),
        };
        self.sizes.extend(result.map(|size| (address(expr), size)));
        all.plus(own)
    }
}
