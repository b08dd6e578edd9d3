//! What an expression may cost, before it runs: cel-go's static estimate with
//! Kubernetes' functions. Sizes are those of literals, of what calls give, and
//! of the places in a variable that an expression names.

use std::collections::BTreeMap;

use crate::functions::cost::{ALLOCATING, REGEX, SELECTOR, SELECTOR_PART, TRAVERSAL};
use crate::sizes::Sizes;
use crate::stack;
use crate::syntax::{Comprehension, Expr, Literal, Node};
use crate::types::Type;

/// The least and the most, of a cost or a size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    pub min: u64,
    pub max: u64,
}

const ONE: Estimate = Estimate::exactly(1);
const UNKNOWN: Estimate = Estimate { min: 0, max: u64::MAX };

impl Estimate {
    const fn exactly(cost: u64) -> Self {
        Self { min: cost, max: cost }
    }

    const fn up_to(max: u64) -> Self {
        Self { min: 0, max }
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

    /// Each side by `factor`, rounded up.
    fn by(self, factor: f64) -> Self {
        let of = |size: u64| (size as f64 * factor).ceil() as u64;
        Self { min: of(self.min), max: of(self.max) }
    }

    /// Of two sizes: how far a comparison looks at most.
    fn compared(self, other: Self) -> Self {
        let max = self.max.min(other.max);
        Self { min: max.min(1), max }.by(TRAVERSAL)
    }
}

/// A call that makes a list of this size.
fn allocating(size: Estimate, factor: f64) -> Estimate {
    size.by(factor).plus(Estimate::exactly(ALLOCATING))
}

/// The number that an expression is, or what stands for it.
fn literal(expr: Option<&&Expr>, otherwise: u64) -> u64 {
    match expr.map(|expr| &expr.node) {
        Some(Node::Literal(Literal::Int(number))) => u64::try_from(*number).unwrap_or(0),
        _ => otherwise,
    }
}

/// `variables` gives the sizes of a variable by its name.
pub(crate) fn of<'s>(expr: &Expr, types: &[Type], variables: &dyn Fn(&str) -> Option<&'s Sizes>) -> Estimate {
    let mut by_node = BTreeMap::new();
    let mut next = 0;
    expr.walk(&mut |node| {
        by_node.insert(address(node), &types[next]);
        next += 1;
    });
    Estimator {
        types: by_node,
        variables,
        places: BTreeMap::new(),
        sizes: BTreeMap::new(),
        entries: BTreeMap::new(),
        locals: Vec::new(),
    }
    .cost(expr)
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

/// Where a value stands: nowhere, at a place of unknown sizes, or at one of known sizes.
type Place<'s> = Option<Option<&'s Sizes>>;

/// From a place to one below it.
#[derive(Clone, Copy)]
enum Step<'n> {
    Items,
    Keys,
    Indices,
    Field(&'n str),
}

/// The sizes of what a list or map holds.
#[derive(Clone, Copy)]
struct Entries {
    is_list: bool,
    key: Estimate,
    value: Estimate,
}

impl Entries {
    fn or(self, other: Self) -> Self {
        Self { key: self.key.or(other.key), value: self.value.or(other.value), ..self }
    }
}

struct Local<'a, 's> {
    name: &'a str,
    place: Place<'s>,
    size: Option<Estimate>,
    entries: Option<Entries>,
}

struct Estimator<'a, 's> {
    types: BTreeMap<usize, &'a Type>,
    variables: &'a dyn Fn(&str) -> Option<&'s Sizes>,
    places: BTreeMap<usize, Place<'s>>,
    /// The sizes of what calls give.
    sizes: BTreeMap<usize, Estimate>,
    entries: BTreeMap<usize, Entries>,
    locals: Vec<Local<'a, 's>>,
}

impl<'a, 's> Estimator<'a, 's> {
    fn ty(&self, expr: &Expr) -> &'a Type {
        self.types.get(&address(expr)).copied().unwrap_or(&Type::Dyn)
    }

    fn local(&self, expr: &Expr) -> Option<&Local<'a, 's>> {
        let Node::Ident(name) = &expr.node else { return None };
        self.locals.iter().rev().find(|local| local.name == name)
    }

    fn place(&self, expr: &Expr) -> Place<'s> {
        match self.local(expr) {
            Some(local) => local.place,
            None => self.places.get(&address(expr)).copied().flatten(),
        }
    }

    fn below(&self, place: Place<'s>, step: Step<'_>) -> Place<'s> {
        let Some(at) = place else {
            // Upstream takes the first step from nowhere for the name of a variable.
            return Some((self.variables)(match step {
                Step::Items => "@items",
                Step::Keys => "@keys",
                Step::Indices => "@indices",
                Step::Field(name) => name,
            }));
        };
        Some(at.and_then(|at| match step {
            Step::Items => at.items.as_deref(),
            Step::Keys => at.keys.as_deref(),
            Step::Indices => None,
            Step::Field(name) => at.field(name),
        }))
    }

    /// How many characters, bytes or elements the value has, where anything is known of that.
    fn known_size(&self, expr: &Expr) -> Option<Estimate> {
        if let Some(size) = self.sizes.get(&address(expr)) {
            return Some(*size);
        }
        let own = match &expr.node {
            Node::Literal(Literal::String(text)) => Some(text.chars().count()),
            Node::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Node::Literal(_) => Some(1),
            Node::List(elements) => Some(elements.len()),
            Node::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(own) = own {
            return Some(Estimate::exactly(own as u64));
        }
        if let Some(Some(sizes)) = self.place(expr) {
            return Some(Estimate::up_to(sizes.max));
        }
        if is_scalar(self.ty(expr)) {
            return Some(ONE);
        }
        self.local(expr)?.size
    }

    fn size(&self, expr: &Expr) -> Estimate {
        self.known_size(expr).unwrap_or(UNKNOWN)
    }

    fn entries(&self, expr: &Expr) -> Option<Entries> {
        self.entries.get(&address(expr)).copied().or_else(|| self.local(expr)?.entries)
    }

    /// The size of a list's elements, where the list is known for one.
    fn element_size(&self, list: &Expr) -> Estimate {
        let place = self.place(list).and_then(|_| self.below(self.place(list), Step::Items));
        place.flatten().map_or(UNKNOWN, |sizes| Estimate::up_to(sizes.max))
    }

    fn cost(&mut self, expr: &'a Expr) -> Estimate {
        stack::with_room(|| self.node(expr))
    }

    fn node(&mut self, expr: &'a Expr) -> Estimate {
        match &expr.node {
            Node::Literal(_) => Estimate::default(),
            Node::Ident(name) => {
                let place = match self.local(expr) {
                    Some(local) => local.place,
                    None => Some((self.variables)(name)),
                };
                self.places.insert(address(expr), place);
                ONE
            }
            Node::Select { operand, field, test } => {
                let cost = self.cost(operand);
                if *test {
                    return cost;
                }
                let place = self.below(self.place(operand), Step::Field(field));
                self.places.insert(address(expr), place);
                match self.ty(operand) {
                    Type::Map(_) | Type::Object(_) | Type::Opaque(_) | Type::Param(_) => cost.plus(ONE),
                    _ => cost,
                }
            }
            Node::List(elements) => {
                let (mut cost, mut value) = (Estimate::exactly(10), None);
                for (element, _) in elements {
                    cost = cost.plus(self.cost(element));
                    value = union(value, self.size(element));
                }
                let value = value.unwrap_or_default();
                self.entries.insert(address(expr), Entries { is_list: true, key: ONE, value });
                cost
            }
            Node::Map(entries) => {
                let (mut cost, mut key, mut value) = (Estimate::exactly(30), None, None);
                for entry in entries {
                    cost = cost.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = union(key, self.size(&entry.key));
                    value = union(value, self.size(&entry.value));
                }
                let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
                self.entries.insert(address(expr), Entries { is_list: false, key, value });
                cost
            }
            Node::Struct { fields, .. } => fields.iter().fold(Estimate::exactly(40), |sum, field| {
                let cost = self.cost(&field.value);
                sum.plus(cost)
            }),
            Node::Comprehension(fold) if is_binding(fold) => self.binding(expr, fold),
            Node::Comprehension(fold) => self.fold(expr, fold),
            Node::Call { function, target, args } => {
                let parts: Vec<&'a Expr> = target.as_deref().into_iter().chain(args).collect();
                self.call(expr, function, &parts)
            }
        }
    }

    fn accumulate(&mut self, fold: &'a Comprehension) {
        let init = &fold.init;
        let (place, size, entries) = (self.place(init), self.known_size(init), self.entries(init));
        self.locals.push(Local { name: &fold.accumulator, place, size, entries });
    }

    /// `cel.bind`: the value is worked out once, where it is used.
    fn binding(&mut self, expr: &'a Expr, fold: &'a Comprehension) -> Estimate {
        let depth = self.locals.len();
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.accumulate(fold);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(depth);
        self.same_as(expr, &fold.result);
        sum
    }

    fn same_as(&mut self, expr: &Expr, other: &Expr) {
        let (size, entries) = (self.known_size(other), self.entries(other));
        self.sizes.extend(size.map(|size| (address(expr), size)));
        self.entries.extend(entries.map(|entries| (address(expr), entries)));
    }

    fn fold(&mut self, expr: &'a Expr, fold: &'a Comprehension) -> Estimate {
        let depth = self.locals.len();
        let mut sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.accumulate(fold);
        let place = self.place(&fold.range);
        let entries = self.entries(&fold.range);
        let is_list = match entries {
            Some(entries) => entries.is_list,
            None => matches!(self.ty(&fold.range), Type::List(_)),
        };
        let key = (if is_list { Step::Indices } else { Step::Keys }, entries.map(|entries| entries.key));
        let value = (Step::Items, entries.map(|entries| entries.value));
        let variables = match &fold.second {
            Some(second) => vec![(&fold.variable, key), (second, value)],
            None if is_list => vec![(&fold.variable, value)],
            None => vec![(&fold.variable, key)],
        };
        for (name, (step, size)) in variables {
            let place = self.below(place, step);
            self.locals.push(Local { name, place, size, entries: None });
        }
        let round = self.cost(&fold.condition).plus(self.cost(&fold.step));
        let grown = self.entries(&fold.step);
        self.locals.truncate(depth + 1);
        sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(depth);
        let rounds = self.size(&fold.range);
        match &fold.init.node {
            Node::Literal(_) => {
                self.sizes.insert(address(expr), self.size(&fold.init));
            }
            Node::List(_) | Node::Map(_) => {
                self.sizes.insert(address(expr), rounds);
                self.entries.extend(grown.map(|entries| (address(expr), entries)));
            }
            _ => {}
        }
        sum.plus(rounds.times(round))
    }

    fn call(&mut self, expr: &'a Expr, function: &str, parts: &[&'a Expr]) -> Estimate {
        let costs: Vec<Estimate> = parts.iter().map(|part| self.cost(part)).collect();
        let all = costs.iter().fold(Estimate::default(), |sum, cost| sum.plus(*cost));
        match (function, parts) {
            // The second side may never be looked at.
            ("_&&_" | "_||_", _) => {
                self.sizes.insert(address(expr), ONE);
                return Estimate { min: costs[0].min, max: all.max };
            }
            ("_?_:_", [_, yes, no]) => {
                let entries = self.entries(yes).zip(self.entries(no)).map(|(yes, no)| yes.or(no));
                self.entries.extend(entries.map(|entries| (address(expr), entries)));
                self.sizes.insert(address(expr), self.size(yes).or(self.size(no)));
                return costs[0].plus(costs[1].or(costs[2]));
            }
            ("dyn", [of]) => {
                self.same_as(expr, of);
                return all.plus(ONE);
            }
            ("_[_]", [of, _]) => {
                let place = self.below(self.place(of), Step::Items);
                self.places.insert(address(expr), place);
                let size = self.entries(of).map(|entries| entries.value);
                self.sizes.extend(size.map(|size| (address(expr), size)));
                return all.plus(ONE);
            }
            ("_+_", [one, other]) => {
                let entries = self.entries(one).zip(self.entries(other)).map(|(one, other)| one.or(other));
                self.entries.extend(entries.map(|entries| (address(expr), entries)));
            }
            _ => {}
        }
        let (own, result) = self.own(function, parts);
        self.sizes.extend(result.map(|size| (address(expr), size)));
        all.plus(own)
    }

    /// What a call costs beside its arguments, and the size of what it gives where that is known.
    fn own(&self, function: &str, parts: &[&Expr]) -> (Estimate, Option<Estimate>) {
        let size = |at: usize| parts.get(at).map_or(ONE, |part| self.size(part));
        let scanned = |at: usize| size(at).by(TRAVERSAL);
        let ty = |at: usize| parts.get(at).map_or(&Type::Dyn, |part| self.ty(part));
        let is_text = |at: usize| matches!(ty(at), Type::String | Type::Bytes);
        let may_be_text = |at: usize| is_text(at) || matches!(ty(at), Type::Dyn | Type::Param(_));
        let holds_texts = |at: usize| matches!(ty(at), Type::List(list) if matches!(list.element, Type::String | Type::Bytes));
        let mut result: Option<Estimate> = None;
        let own = match function {
            "check" => Estimate::exactly(350_000),
            "fieldSelector" | "labelSelector" => {
                let requirements = size(1).by(0.5).by(SELECTOR_PART);
                Estimate::exactly(SELECTOR).plus(scanned(1)).plus(requirements)
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => match ty(0) {
                Type::List(_) if holds_texts(0) => {
                    size(0).times(ONE.plus(self.element_size(parts[0]).by(TRAVERSAL)))
                }
                Type::List(_) => size(0),
                _ => scanned(0),
            },
            "url" | "jsonpatch.escapeKey" | "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                result = Some(size(0));
                scanned(0)
            }
            "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" | "format"
            | "startsWith" | "endsWith" => {
                scanned(usize::from(matches!(function, "startsWith" | "endsWith")))
            }
            "strings.quote" => {
                let bare = size(0);
                let max = bare.max.wrapping_mul(2).wrapping_add(2);
                result = Some(Estimate { min: bare.min.wrapping_add(2), max });
                scanned(0)
            }
            // The longest pattern of a named format has 128 characters.
            "validate" => scanned(1).by(128.0 * REGEX),
            "reverse" if matches!(ty(0), Type::List(_)) => {
                result = Some(size(0));
                allocating(size(0), 1.0)
            }
            "lists.range" => {
                let length = Estimate::exactly(literal(parts.first(), u64::MAX));
                result = Some(length);
                allocating(length, 1.0)
            }
            "slice" => {
                let (from, to) = (literal(parts.get(1), 0), literal(parts.get(2), size(0).max));
                // Upstream does not look which is less.
                let left = Estimate::exactly(to.wrapping_sub(from));
                result = Some(left);
                allocating(left, 1.0)
            }
            "flatten" => {
                result = Some(size(0));
                let depth = if parts.len() > 1 { literal(parts.get(1), u64::MAX) } else { 1 };
                allocating(size(0), depth as f64)
            }
            "distinct" | "sort" | "@sortByAssociatedKeys" => {
                let list = usize::from(function == "@sortByAssociatedKeys");
                let squared = size(list).times(size(list));
                result = Some(squared);
                let texts = function != "distinct" && holds_texts(list);
                allocating(squared, if texts { 2.0 + TRAVERSAL } else { 2.0 })
            }
            "ip" if !matches!(ty(0), Type::Opaque(_)) => scanned(0),
            "ip.isCanonical" => size(0).by(2.0 * TRAVERSAL),
            "replace" => {
                result = Some(replaced(size(0), size(1), size(2)));
                size(0).by(2.0 * TRAVERSAL)
            }
            "split" => {
                let most = match parts.get(2).map(|part| &part.node) {
                    Some(Node::Literal(Literal::Int(most))) => most.cast_unsigned(),
                    _ => size(0).max,
                };
                result = Some(Estimate::up_to(most));
                size(0).by(2.0 * TRAVERSAL)
            }
            "join" => {
                let texts = match ty(0) {
                    Type::List(_) => size(0).times(self.element_size(parts[0])),
                    _ => Estimate::default(),
                };
                let gaps =
                    Estimate { min: size(0).min.saturating_sub(1), max: size(0).max.saturating_sub(1) };
                let between = if parts.len() > 1 { size(1).times(gaps) } else { Estimate::default() };
                result = Some(texts.plus(between));
                texts.plus(between).by(TRAVERSAL)
            }
            "find" | "findAll" | "matches" => {
                result = (function != "matches").then(|| Estimate::up_to(size(0).max));
                size(0).plus(ONE).by(TRAVERSAL).times(size(1).by(REGEX))
            }
            "contains" => scanned(0).times(scanned(1)),
            "containsIP" | "containsCIDR" => {
                // An address has four or sixteen bytes.
                let address = Estimate { min: 4, max: 16 };
                let mut cost = address.plus(address).by(TRAVERSAL);
                if function == "containsCIDR" {
                    cost = cost.plus(address.by(TRAVERSAL)).plus(ONE);
                }
                match ty(1) {
                    Type::String => cost.plus(scanned(1)),
                    Type::Dyn => cost.or(cost.plus(scanned(1))),
                    _ => cost,
                }
            }
            "sets.contains" | "sets.intersects" => size(0).times(size(1)).plus(ONE),
            "sets.equivalent" => size(0).times(size(1)).by(2.0).plus(ONE),
            "@in" => match ty(1) {
                Type::List(_) => size(1),
                Type::Dyn => size(1).or(ONE),
                _ => ONE,
            },
            "_==_" => self.equal(parts).unwrap_or_else(|| size(0).compared(size(1))),
            "_!=_" => size(0).compared(size(1)),
            "_<_" | "_<=_" | "_>_" | "_>=_" if is_text(0) && is_text(1) => size(0).compared(size(1)),
            "_<_" | "_<=_" | "_>_" | "_>=_" if may_be_text(0) && may_be_text(1) => {
                size(0).compared(size(1)).or(ONE)
            }
            "_+_" if may_be_text(0) || matches!(ty(0), Type::List(_)) => {
                let both = size(0).plus(size(1));
                result = Some(both);
                match ty(0) {
                    Type::List(_) => ONE,
                    Type::String | Type::Bytes => both.by(TRAVERSAL),
                    _ => both.by(TRAVERSAL).or(ONE),
                }
            }
            "bytes" if may_be_text(0) && !matches!(ty(0), Type::Bytes) => {
                // A character takes four bytes at most.
                result = Some(Estimate { min: size(0).min, max: size(0).max.wrapping_mul(4) });
                if is_text(0) { scanned(0) } else { scanned(0).or(ONE) }
            }
            "string" => match ty(0) {
                Type::Bytes => {
                    result = Some(Estimate { min: size(0).min / 4, max: size(0).max });
                    scanned(0)
                }
                Type::Dyn => {
                    result = Some(size(0));
                    scanned(0).or(ONE)
                }
                _ => ONE,
            },
            _ => ONE,
        };
        (own, result)
    }

    /// To compare two values of one of Kubernetes' own types.
    fn equal(&self, parts: &[&Expr]) -> Option<Estimate> {
        let [one, other] = parts else { return None };
        let (Type::Opaque(name), Type::Opaque(second)) = (self.ty(one), self.ty(other)) else { return None };
        if name != second {
            return None;
        }
        Some(match *name {
            // Upstream's longest format has 64 characters.
            "kubernetes.NamedFormat" => Estimate { min: 1, max: 64 }.by(TRAVERSAL),
            "kubernetes.URL" => {
                let longest = self.known_size(other).map_or(1, |size| size.max);
                Estimate { min: 1, max: longest }.by(TRAVERSAL)
            }
            _ => ONE,
        })
    }
}

/// Both, or the one that there is.
fn union(known: Option<Estimate>, size: Estimate) -> Option<Estimate> {
    Some(known.map_or(size, |known| known.or(size)))
}

/// Whether a comprehension is `cel.bind`.
fn is_binding(fold: &Comprehension) -> bool {
    matches!(&fold.range.node, Node::List(elements) if elements.is_empty())
        && matches!(fold.condition.node, Node::Literal(Literal::Bool(false)))
}

/// Whether all values of a type have one size.
fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(of) => is_scalar(of),
        _ => false,
    }
}

/// The size of a text in which parts were replaced.
fn replaced(text: Estimate, old: Estimate, new: Estimate) -> Estimate {
    let rounded_up = |size: u64, by: u64| (size as f64 / by as f64).ceil() as u64;
    // How often at most, and what of the text stays; then at least.
    let (most, kept) = match old.min {
        0 => (text.max.saturating_add(1), text.max),
        shortest if new.max <= shortest => (0, text.max),
        shortest => (rounded_up(text.max, shortest), 0),
    };
    let (least, left) = match old.max {
        0 => (text.min.saturating_add(1), text.min),
        longest if longest <= new.min => (0, text.min),
        longest => (rounded_up(text.min, longest), 0),
    };
    Estimate { min: least, max: most }.times(new).plus(Estimate { min: left, max: kept })
}
