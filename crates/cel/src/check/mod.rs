//! The type checker: which type an expression has, or what is wrong with it in
//! upstream's words. It annotates the tree where the evaluator must know more
//! than the parser did (qualified names).

mod declarations;
mod literals;
mod unify;

pub(crate) use declarations::named_type;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::declarations::{Overload, overloads};
use self::unify::Substitution;
use crate::stack;
use crate::syntax::{Comprehension, Expr, Literal, Node, Problem};
use crate::types::{Environment, ObjectType, Type};

/// What checking found out: the type of the whole, and of each node by its address
/// in walking order.
pub(crate) struct Checked {
    pub result: Type,
    /// By the position of the node in [`Expr::walk`].
    pub types: Vec<Type>,
}

/// Checks `expr` against `environment`.
///
/// # Errors
/// All problems, in the order of the text.
pub(crate) fn check(
    source: &str,
    expr: &mut Expr,
    environment: &Environment,
) -> Result<Checked, Vec<Problem>> {
    let mut checker = Checker {
        environment,
        locals: Vec::new(),
        substitution: Substitution::default(),
        problems: Vec::new(),
        found: BTreeMap::new(),
    };
    let result = checker.expr(expr);
    let mut problems = std::mem::take(&mut checker.problems);
    if problems.is_empty() {
        let type_of = |node: &Expr| {
            let found = checker.found.get(&std::ptr::from_ref(node).addr());
            found.map_or(Type::Dyn, |ty| checker.substitution.resolve(ty, true))
        };
        literals::check(expr, &type_of, &mut problems);
    }
    if !problems.is_empty() {
        problems.sort_by_key(|(at, _)| *at);
        let mut shown: Vec<Problem> =
            problems.into_iter().map(|(at, message)| Problem::at(source, at, message)).collect();
        shown.dedup();
        return Err(shown);
    }
    let mut types = Vec::new();
    expr.walk(&mut |node| {
        let found = checker.found.get(&std::ptr::from_ref(node).addr());
        types.push(found.map_or(Type::Dyn, |ty| checker.substitution.resolve(ty, true)));
    });
    Ok(Checked { result: checker.substitution.resolve(&result, true), types })
}

struct Checker<'a> {
    environment: &'a Environment,
    /// Variables of comprehensions, the innermost last.
    locals: Vec<(String, Type)>,
    substitution: Substitution,
    problems: Vec<(u32, String)>,
    /// The type of each node, by its address: nodes stay where they are.
    found: BTreeMap<usize, Type>,
}

impl Checker<'_> {
    fn refuse(&mut self, at: u32, message: String) -> Type {
        self.problems.push((at, message));
        Type::Dyn
    }

    fn expr(&mut self, expr: &mut Expr) -> Type {
        let ty = stack::with_room(|| self.node(expr));
        self.found.insert(std::ptr::from_ref(&*expr).addr(), ty.clone());
        ty
    }

    fn node(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        // `a.b.c` may be the name of one variable or type, the longest first.
        if let Some(name) = expr.qualified_name()
            && !self.is_local(&name)
            && let Some(ty) = self.ident(&name)
        {
            expr.node = Node::Ident(name.trim_start_matches('.').to_owned());
            return ty;
        }
        match &mut expr.node {
            Node::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::String(_) => Type::String,
                Literal::Bytes(_) => Type::Bytes,
            },
            Node::Ident(name) => {
                let local = self.locals.iter().rev().find(|(known, _)| known == name);
                if let Some((_, ty)) = local {
                    return ty.clone();
                }
                let message = format!("undeclared reference to '{name}' (in container '')");
                self.refuse(at, message)
            }
            Node::Select { operand, field, test } => {
                let (field, test) = (field.clone(), *test);
                let of = self.expr(operand);
                let ty = self.select(at, &of, &field);
                if test { Type::Bool } else { ty }
            }
            Node::Call { .. } => self.call(expr),
            Node::List(elements) => {
                let mut element: Option<Type> = None;
                for (expr, optional) in elements {
                    let at = expr.at;
                    let mut ty = self.expr(expr);
                    if *optional {
                        ty = self.unwrapped(at, ty);
                    }
                    element = Some(self.joined(element, ty));
                }
                let element = element.unwrap_or_else(|| self.substitution.fresh());
                Type::list(element)
            }
            Node::Map(entries) => {
                let (mut key, mut value): (Option<Type>, Option<Type>) = (None, None);
                for entry in entries {
                    let found = self.expr(&mut entry.key);
                    key = Some(self.joined(key, found));
                    let mut found = self.expr(&mut entry.value);
                    if entry.optional {
                        found = self.unwrapped(entry.value.at, found);
                    }
                    value = Some(self.joined(value, found));
                }
                let key = key.unwrap_or_else(|| self.substitution.fresh());
                let value = value.unwrap_or_else(|| self.substitution.fresh());
                Type::map(key, value)
            }
            Node::Struct { .. } => self.made(expr),
            Node::Comprehension(fold) => self.comprehension(fold),
        }
    }

    fn is_local(&self, name: &str) -> bool {
        let root = name.split('.').next().unwrap_or(name);
        self.locals.iter().any(|(known, _)| known == root)
    }

    /// A declared variable, or the name of a type.
    fn ident(&self, name: &str) -> Option<Type> {
        let name = name.trim_start_matches('.');
        if let Some(ty) = self.environment.variable(name) {
            return Some(ty.clone());
        }
        named_type(name).map(|ty| Type::Kind(Arc::new(ty)))
    }

    /// The type that list elements and map values so far have with one more.
    fn joined(&mut self, so_far: Option<Type>, next: Type) -> Type {
        let Some(so_far) = so_far else { return next };
        if self.substitution.unify(&next, &so_far) {
            let both = [so_far, next].map(|ty| self.substitution.resolve(&ty, false));
            let [so_far, next] = both;
            return if so_far.is_dyn() || !next.is_dyn() { so_far } else { next };
        }
        // Told when everything else is right, see `literals`.
        Type::Dyn
    }

    /// What is in an optional element.
    fn unwrapped(&mut self, at: u32, ty: Type) -> Type {
        match self.substitution.resolve(&ty, false) {
            Type::Optional(of) => (*of).clone(),
            Type::Dyn => Type::Dyn,
            other => self.refuse(at, format!("expected type 'optional_type({other})' but found '{other}'")),
        }
    }

    /// The type of `.field` of a value.
    fn select(&mut self, at: u32, of: &Type, field: &str) -> Type {
        match self.substitution.resolve(of, false) {
            Type::Dyn => Type::Dyn,
            Type::Map(map) => map.value.clone(),
            Type::Object(object) => self.field(at, &object, field),
            Type::Optional(inner) => Type::optional(self.select(at, &inner.clone(), field)),
            Type::Param(_) => {
                self.substitution.unify(of, &Type::Dyn);
                Type::Dyn
            }
            other => self.refuse(at, format!("type '{other}' does not support field selection")),
        }
    }

    fn field(&mut self, at: u32, object: &ObjectType, field: &str) -> Type {
        if let Some(known) = object.field(field) {
            return known.ty.clone();
        }
        if self.environment.is_open(object) {
            return Type::Dyn;
        }
        self.refuse(at, format!("undefined field '{field}'"))
    }

    fn call(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        let Node::Call { function, target, args } = &mut expr.node else { return Type::Dyn };
        if function == "_?._"
            && let [operand, field] = args.as_mut_slice()
            && let Node::Literal(Literal::String(name)) = &field.node
        {
            let name = name.clone();
            let of = self.expr(operand);
            self.found.insert(std::ptr::from_ref(&*field).addr(), Type::String);
            return match self.select(at, &of, &name) {
                Type::Optional(of) => Type::Optional(of),
                ty => Type::optional(ty),
            };
        }
        // `sets.contains(…)`: the target is part of the name.
        if let Some(namespace) = target.as_ref().and_then(|target| target.qualified_name())
            && !self.is_local(&namespace)
        {
            let qualified = format!("{}.{function}", namespace.trim_start_matches('.'));
            let is_here =
                qualified != "jsonpatch.escapeKey" || self.environment.named_struct("JSONPatch").is_some();
            if is_here && overloads(&qualified).is_some() {
                *function = qualified;
                *target = None;
            }
        }
        let is_member = target.is_some();
        let mut types: Vec<Type> = Vec::with_capacity(args.len() + 1);
        if let Some(target) = target {
            types.push(self.expr(target));
        }
        for arg in args.iter_mut() {
            types.push(self.expr(arg));
        }
        let name = function.trim_start_matches('.').to_owned();
        *function = name.clone();
        if matches!(&*name, "_&&_" | "_||_") {
            for (arg, ty) in args.iter().zip(&types) {
                self.expect(arg.at, ty, &Type::Bool);
            }
            return Type::Bool;
        }
        let Some(known) = overloads(&name) else {
            return self.refuse(at, format!("undeclared reference to '{name}' (in container '')"));
        };
        self.resolve(at, &name, known, is_member, &types)
    }

    /// The result of the overloads that take `types`: dyn where several do and differ.
    fn resolve(&mut self, at: u32, name: &str, known: &[Overload], is_member: bool, types: &[Type]) -> Type {
        let mut result: Option<Type> = None;
        for overload in known {
            if overload.is_member != is_member || overload.args.len() != types.len() {
                continue;
            }
            let (args, returned) = self.substitution.instance(&overload.args, &overload.result);
            let mut tried = self.substitution.clone();
            if types.iter().zip(&args).all(|(given, wanted)| tried.unify(given, wanted)) {
                self.substitution = tried;
                let returned = self.substitution.resolve(&returned, false);
                result = Some(match result {
                    Some(before) if !before.is_same(&returned) => Type::Dyn,
                    Some(before) => before,
                    None => returned,
                });
            }
        }
        if let Some(result) = result {
            return result;
        }
        let given: Vec<String> =
            types.iter().map(|ty| self.substitution.resolve(ty, true).to_string()).collect();
        let given = match given.split_first() {
            Some((target, rest)) if is_member => format!("{target}.({})", rest.join(", ")),
            _ => format!("({})", given.join(", ")),
        };
        self.refuse(at, format!("found no matching overload for '{name}' applied to '{given}'"))
    }

    fn made(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        let Node::Struct { name, fields } = &mut expr.node else { return Type::Dyn };
        let Some(object) = self.environment.named_struct(name) else {
            let message = match named_type(name) {
                Some(_) => format!("'{name}' is not a message type"),
                None => format!("undeclared reference to '{name}' (in container '')"),
            };
            return self.refuse(at, message);
        };
        for field in fields {
            let mut given = self.expr(&mut field.value);
            if field.optional {
                given = self.unwrapped(field.value.at, given);
            }
            let wanted = self.field(field.at, &object, &field.name);
            if !self.substitution.unify(&given, &wanted) {
                let given = self.substitution.resolve(&given, true);
                self.refuse(
                    field.at,
                    format!(
                        "expected type of field '{}' is '{wanted}' but provided type is '{given}'",
                        field.name
                    ),
                );
            }
        }
        Type::Object(object)
    }

    fn comprehension(&mut self, fold: &mut Comprehension) -> Type {
        let range = self.expr(&mut fold.range);
        let initial = self.expr(&mut fold.init);
        let (first, second) = match self.substitution.resolve(&range, false) {
            Type::List(list) if fold.second.is_some() => (Type::Int, list.element.clone()),
            Type::List(list) => (list.element.clone(), Type::Dyn),
            Type::Map(map) => (map.key.clone(), map.value.clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            Type::Param(_) => {
                self.substitution.unify(&range, &Type::Dyn);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.refuse(fold.range.at, message);
                (Type::Dyn, Type::Dyn)
            }
        };
        let depth = self.locals.len();
        self.locals.push((fold.accumulator.clone(), initial.clone()));
        self.locals.push((fold.variable.clone(), first));
        if let Some(name) = &fold.second {
            self.locals.push((name.clone(), second));
        }
        let condition = self.expr(&mut fold.condition);
        self.expect(fold.condition.at, &condition, &Type::Bool);
        let step = self.expr(&mut fold.step);
        self.expect(fold.step.at, &step, &initial);
        // The result sees the accumulator alone.
        self.locals.truncate(depth + 1);
        let result = self.expr(&mut fold.result);
        self.locals.truncate(depth);
        self.substitution.resolve(&result, false)
    }

    fn expect(&mut self, at: u32, found: &Type, wanted: &Type) {
        if !self.substitution.unify(found, wanted) {
            let [wanted, found] = [wanted, found].map(|ty| self.substitution.resolve(ty, true));
            self.refuse(at, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}
