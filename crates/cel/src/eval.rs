//! Runs a checked expression, counting what it costs as upstream does.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::Value;

use crate::check::named_type;
use crate::error::Error;
use crate::functions;
use crate::macros::RESULT;
use crate::stack;
use crate::syntax::{Comprehension, Entry, Expr, Field, Literal, Node};
use crate::value::{Key, Made, Val};

const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;

/// What an expression may still spend, and what it has spent.
#[derive(Debug)]
pub struct Meter {
    left: Cell<u64>,
    spent: Cell<u64>,
}

impl Meter {
    pub fn new(limit: u64) -> Self {
        Self { left: Cell::new(limit), spent: Cell::new(0) }
    }

    /// What was charged so far.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// # Errors
    /// There is not that much left.
    pub fn charge(&self, cost: u64) -> Result<(), Error> {
        self.spent.set(self.spent.get().saturating_add(cost));
        match self.left.get().checked_sub(cost) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Error::TooExpensive)
            }
        }
    }
}

/// The variables of one run by their names.
pub type Variables<'a> = [(&'a str, Val<'a>)];

pub(crate) struct Evaluator<'a, 'v> {
    pub variables: &'v Variables<'a>,
    pub locals: Vec<(&'a str, Val<'a>)>,
    pub meter: &'v Meter,
}

impl<'a> Evaluator<'a, '_> {
    pub(crate) fn expr(&mut self, expr: &'a Expr) -> Result<Val<'a>, Error> {
        stack::with_room(|| self.node(expr))
    }

    fn node(&mut self, expr: &'a Expr) -> Result<Val<'a>, Error> {
        match &expr.node {
            Node::Literal(literal) => Ok(constant(literal)),
            Node::Ident(name) => {
                self.meter.charge(1)?;
                self.ident(name)
            }
            Node::Select { operand, field, test } => {
                let of = self.expr(operand)?;
                if *test {
                    return has(&of, field).map(Val::Bool);
                }
                self.meter.charge(1)?;
                select(&of, field)
            }
            Node::Call { function, target, args } => self.call(function, target.as_deref(), args),
            Node::List(elements) => {
                self.meter.charge(LIST_COST)?;
                let mut items = Vec::with_capacity(elements.len());
                for (element, optional) in elements {
                    let item = self.expr(element)?;
                    items.extend(if *optional { unwrapped(item)? } else { Some(item) });
                }
                Ok(Val::list(items))
            }
            Node::Map(entries) => self.map(entries),
            Node::Struct { name, fields } => self.made(name, fields),
            Node::Comprehension(fold) => self.comprehension(fold),
        }
    }

    fn ident(&self, name: &'a str) -> Result<Val<'a>, Error> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        match named_type(name) {
            Some(_) => Ok(Val::Type(Cow::Borrowed(name))),
            None => Err(Error::failed(format!("no such attribute(s): {name}"))),
        }
    }

    fn map(&mut self, entries: &'a [Entry]) -> Result<Val<'a>, Error> {
        self.meter.charge(MAP_COST)?;
        // Of literals alone upstream makes the map beforehand: the last value stays.
        let is_literal = |expr: &Expr| matches!(expr.node, Node::Literal(_));
        let is_constant = entries.iter().all(|entry| is_literal(&entry.key) && is_literal(&entry.value));
        let mut map = BTreeMap::new();
        for entry in entries {
            let key = self.expr(&entry.key)?;
            let value = self.expr(&entry.value)?;
            let Some(value) = (if entry.optional { unwrapped(value)? } else { Some(value) }) else {
                continue;
            };
            let Some(key) = Key::of(&key) else {
                return Err(Error::failed(format!("unsupported key type: {}", key.type_name())));
            };
            if map.insert(key.clone(), value).is_some() && !is_constant {
                return Err(Error::failed(format!(
                    "Failed with repeated key: {}",
                    functions::format::shown(&key.value())
                )));
            }
        }
        Ok(Val::Map(Rc::new(map)))
    }

    fn made(&mut self, name: &'a str, fields: &'a [Field]) -> Result<Val<'a>, Error> {
        self.meter.charge(STRUCT_COST)?;
        let mut made = Vec::with_capacity(fields.len());
        for field in fields {
            let value = self.expr(&field.value)?;
            if let Some(value) = if field.optional { unwrapped(value)? } else { Some(value) } {
                made.push((Cow::Borrowed(field.name.as_str()), value));
            }
        }
        Ok(Val::Struct(Rc::new(Made { name: Cow::Borrowed(name), fields: made })))
    }

    fn call(
        &mut self,
        function: &'a str,
        target: Option<&'a Expr>,
        args: &'a [Expr],
    ) -> Result<Val<'a>, Error> {
        match (function, args) {
            ("_&&_", [left, right]) => return self.decided(left, right, false),
            ("_||_", [left, right]) => return self.decided(left, right, true),
            ("_?:_" | "_?_:_", [condition, yes, no]) => {
                return match self.expr(condition)? {
                    Val::Bool(true) => self.expr(yes),
                    Val::Bool(false) => self.expr(no),
                    _ => Err(Error::no_overload()),
                };
            }
            ("@not_strictly_false", [condition]) => {
                self.meter.charge(1)?;
                return Ok(Val::Bool(!matches!(self.expr(condition), Ok(Val::Bool(false)))));
            }
            ("_?._", [operand, field]) => {
                let of = self.expr(operand)?;
                self.meter.charge(1)?;
                let Node::Literal(Literal::String(name)) = &field.node else {
                    return Err(Error::no_overload());
                };
                return optional_select(of, name);
            }
            ("_+_", [accumulator, added]) if matches!(&accumulator.node, Node::Ident(name) if name == RESULT) => {
                if let Node::List(elements) = &added.node
                    && let [(element, false)] = elements.as_slice()
                {
                    return self.appended(accumulator, element);
                }
            }
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        if let Some(target) = target {
            values.push(self.expr(target)?);
            // The alternative of an optional is only looked at where it is needed.
            if let (Val::Optional(of), "or" | "orValue", [other]) = (&values[0], function, args) {
                self.meter.charge(1)?;
                return match (of, function) {
                    (Some(value), "orValue") => Ok((**value).clone()),
                    (Some(_), _) => Ok(values[0].clone()),
                    (None, _) => self.expr(other),
                };
            }
        }
        for arg in args {
            values.push(self.expr(arg)?);
        }
        let before = functions::cost::before(function, &values);
        if let Some(cost) = before {
            self.meter.charge(cost)?;
        }
        let sizes = before.is_none().then(|| values.clone());
        let result = functions::call(function, values)?;
        if sizes.is_some() {
            self.meter.charge(functions::cost::after(&result))?;
        }
        Ok(result)
    }

    /// `&&` and `||`: a side that decides (`by`) hides an error of the other.
    fn decided(&mut self, left: &'a Expr, right: &'a Expr, by: bool) -> Result<Val<'a>, Error> {
        let first = self.expr(left);
        match &first {
            Ok(Val::Bool(truth)) if *truth == by => return Ok(Val::Bool(by)),
            Err(Error::TooExpensive) => return first,
            _ => {}
        }
        let second = self.expr(right);
        match (first, second) {
            (_, Ok(Val::Bool(truth))) if truth == by => Ok(Val::Bool(by)),
            (_, Err(Error::TooExpensive)) => Err(Error::TooExpensive),
            (Ok(Val::Bool(_)), Ok(Val::Bool(_))) => Ok(Val::Bool(!by)),
            (Err(error), _) | (Ok(Val::Bool(_)), Err(error)) => Err(error),
            _ => Err(Error::no_overload()),
        }
    }

    /// The accumulator with one more element, without a copy of the others.
    fn appended(&mut self, accumulator: &'a Expr, element: &'a Expr) -> Result<Val<'a>, Error> {
        let mut list = self.expr(accumulator)?;
        self.meter.charge(LIST_COST)?;
        let item = self.expr(element)?;
        self.meter.charge(1)?;
        if let Some((_, kept)) = self.locals.iter_mut().rev().find(|(name, _)| *name == RESULT) {
            *kept = Val::Null;
        }
        match &mut list {
            Val::List(items) => Rc::make_mut(items).push(item),
            _ => return Err(Error::no_overload()),
        }
        Ok(list)
    }

    fn comprehension(&mut self, fold: &'a Comprehension) -> Result<Val<'a>, Error> {
        let range = self.expr(&fold.range)?;
        let steps: Vec<(Val<'a>, Option<Val<'a>>)> = match (range.items(), &fold.second) {
            (Some(items), Some(_)) => {
                items.into_iter().enumerate().map(|(at, item)| (Val::Int(at as i64), Some(item))).collect()
            }
            (Some(items), None) => items.into_iter().map(|item| (item, None)).collect(),
            (None, _) => match range.entries() {
                Some(entries) => entries.into_iter().map(|(key, value)| (key, Some(value))).collect(),
                None => {
                    return Err(Error::failed(format!(
                        "got '{}', expected iterable type",
                        range.type_name()
                    )));
                }
            },
        };
        let initial = self.expr(&fold.init)?;
        let depth = self.locals.len();
        self.locals.push((&fold.accumulator, initial));
        let ran = self.steps(fold, steps, depth);
        self.locals.truncate(depth + 1);
        let result = ran.and_then(|()| self.expr(&fold.result));
        self.locals.truncate(depth);
        result
    }

    fn steps(
        &mut self,
        fold: &'a Comprehension,
        steps: Vec<(Val<'a>, Option<Val<'a>>)>,
        depth: usize,
    ) -> Result<(), Error> {
        let mut failed: Option<Error> = None;
        for (first, second) in steps {
            self.locals.push((&fold.variable, first));
            if let (Some(name), Some(value)) = (&fold.second, second) {
                self.locals.push((name, value));
            }
            let goes_on = match self.expr(&fold.condition) {
                Err(Error::TooExpensive) => return Err(Error::TooExpensive),
                condition => !matches!(condition, Ok(Val::Bool(false))),
            };
            if !goes_on {
                self.locals.truncate(depth + 1);
                break;
            }
            // An error stays until a later element decides otherwise (`exists`, `all`).
            match self.step(fold, &mut failed) {
                Ok(value) => {
                    failed = None;
                    self.locals.truncate(depth + 1);
                    self.locals[depth].1 = value;
                }
                Err(Error::TooExpensive) => return Err(Error::TooExpensive),
                Err(error) => {
                    failed = Some(error);
                    self.locals.truncate(depth + 1);
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// One step. After an error, only what would decide despite it counts.
    fn step(&mut self, fold: &'a Comprehension, failed: &mut Option<Error>) -> Result<Val<'a>, Error> {
        let value = self.expr(&fold.step)?;
        match (failed.take(), &fold.step.node, &value) {
            (Some(error), Node::Call { function, .. }, Val::Bool(truth)) => match (&**function, *truth) {
                ("_||_", true) | ("_&&_", false) => Ok(value),
                _ => Err(error),
            },
            (Some(error), _, _) => Err(error),
            (None, _, _) => Ok(value),
        }
    }
}

pub(crate) fn constant(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(truth) => Val::Bool(*truth),
        Literal::Int(number) => Val::Int(*number),
        Literal::Uint(number) => Val::Uint(*number),
        Literal::Double(number) => Val::Double(*number),
        Literal::String(text) => Val::string(text.as_str()),
        Literal::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
    }
}

fn is_map_like(value: &Val<'_>) -> bool {
    matches!(value, Val::Map(_) | Val::Struct(_) | Val::Lazy(_) | Val::Tree(Value::Object(_), _))
}

/// `of.field`.
fn select<'a>(of: &Val<'a>, field: &str) -> Result<Val<'a>, Error> {
    match of {
        Val::Lazy(fields) => fields.field(field)?.ok_or_else(|| Error::no_such_key(field)),
        Val::Optional(inner) => match inner {
            Some(inner) => optional_select((**inner).clone(), field),
            None => Ok(Val::Optional(None)),
        },
        _ if is_map_like(of) => of.member(field).ok_or_else(|| Error::no_such_key(field)),
        // What has no members lacks each.
        _ => Err(Error::no_such_key(field)),
    }
}

/// `of.?field`.
fn optional_select<'a>(of: Val<'a>, field: &str) -> Result<Val<'a>, Error> {
    match &of {
        Val::Optional(None) => Ok(of),
        Val::Optional(Some(inner)) => optional_select((**inner).clone(), field),
        Val::Lazy(fields) => Ok(Val::Optional(fields.field(field)?.map(Rc::new))),
        _ if is_map_like(&of) => Ok(Val::Optional(of.member(field).map(Rc::new))),
        _ => Ok(Val::Optional(None)),
    }
}

/// `has(of.field)`.
fn has(of: &Val<'_>, field: &str) -> Result<bool, Error> {
    match of {
        Val::Lazy(fields) => Ok(fields.field(field)?.is_some()),
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => has(inner, field),
        _ if is_map_like(of) => Ok(of.member(field).is_some()),
        _ => Ok(false),
    }
}

/// What is in an optional element, if anything.
fn unwrapped<'a>(value: Val<'a>) -> Result<Option<Val<'a>>, Error> {
    match value {
        Val::Optional(inner) => Ok(inner.map(|inner| (*inner).clone())),
        other => Err(Error::failed(format!(
            "cannot initialize optional list element from non-optional value {}",
            functions::format::shown(&other)
        ))),
    }
}
