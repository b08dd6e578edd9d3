//! Whether a type may stand where another is wanted, and what that says of the
//! parameters in both.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{ListType, MapType, Type};

/// What is known of parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Substitution {
    known: BTreeMap<u32, Type>,
    next: u32,
}

impl Substitution {
    /// A parameter of which nothing is known.
    pub fn fresh(&mut self) -> Type {
        self.next += 1;
        Type::Param(self.next)
    }

    /// An overload's types with parameters of their own.
    pub fn instance(&mut self, args: &[Type], result: &Type) -> (Vec<Type>, Type) {
        let mut renamed: BTreeMap<u32, Type> = BTreeMap::new();
        let mut rename = |ty: &Type| {
            replace(ty, &mut |number| {
                Some(
                    renamed
                        .entry(number)
                        .or_insert_with(|| {
                            self.next += 1;
                            Type::Param(self.next)
                        })
                        .clone(),
                )
            })
        };
        let args = args.iter().map(&mut rename).collect();
        (args, rename(result))
    }

    /// The type with what is known put in; `final_` makes dyn of what is not.
    pub fn resolve(&self, ty: &Type, final_: bool) -> Type {
        replace(ty, &mut |number| match self.known.get(&number) {
            Some(known) => Some(self.resolve(known, final_)),
            None => final_.then_some(Type::Dyn),
        })
    }

    /// Whether `given` may stand where `wanted` is; remembers what that means
    /// for parameters.
    pub fn unify(&mut self, given: &Type, wanted: &Type) -> bool {
        if let Type::Param(number) = wanted {
            return self.bind(*number, given, wanted);
        }
        if let Type::Param(number) = given {
            return self.bind(*number, wanted, given);
        }
        match (given, wanted) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::List(a), Type::List(b)) => self.unify(&a.element, &b.element),
            (Type::Map(a), Type::Map(b)) => self.unify(&a.key, &b.key) && self.unify(&a.value, &b.value),
            (Type::Optional(a), Type::Optional(b)) => self.unify(a, b),
            (Type::Kind(_), Type::Kind(_)) => true,
            // Null stands for an object that is not there, not for a scalar.
            (Type::Null, Type::Object(_) | Type::Opaque(_) | Type::Duration | Type::Timestamp)
            | (Type::Object(_) | Type::Opaque(_) | Type::Duration | Type::Timestamp, Type::Null)
            | (Type::Null, Type::Optional(_)) => true,
            (a, b) => a.is_same(b),
        }
    }

    fn bind(&mut self, number: u32, to: &Type, parameter: &Type) -> bool {
        if let Some(known) = self.known.get(&number).cloned() {
            if !self.unify(to, &known) {
                return false;
            }
            // The more general of both stays: what held of it holds of the other.
            if to.is_dyn() && !known.is_dyn() {
                self.known.insert(number, Type::Dyn);
            }
            return true;
        }
        let to = self.resolve(to, false);
        if to.is_same(parameter) {
            return true;
        }
        if mentions(&to, number) {
            return false;
        }
        self.known.insert(number, to);
        true
    }
}

fn mentions(ty: &Type, number: u32) -> bool {
    match ty {
        Type::Param(other) => *other == number,
        Type::List(list) => mentions(&list.element, number),
        Type::Map(map) => mentions(&map.key, number) || mentions(&map.value, number),
        Type::Optional(of) | Type::Kind(of) => mentions(of, number),
        _ => false,
    }
}

fn has_parameters(ty: &Type) -> bool {
    match ty {
        Type::Param(_) => true,
        Type::List(list) => has_parameters(&list.element),
        Type::Map(map) => has_parameters(&map.key) || has_parameters(&map.value),
        Type::Optional(of) | Type::Kind(of) => has_parameters(of),
        _ => false,
    }
}

/// `ty` with `by` in the place of its parameters; None leaves one.
fn replace(ty: &Type, by: &mut dyn FnMut(u32) -> Option<Type>) -> Type {
    if !has_parameters(ty) {
        return ty.clone();
    }
    match ty {
        Type::Param(number) => by(*number).unwrap_or(Type::Param(*number)),
        Type::List(list) => {
            Type::List(Arc::new(ListType { element: replace(&list.element, by), kind: list.kind.clone() }))
        }
        Type::Map(map) => {
            Type::Map(Arc::new(MapType { key: replace(&map.key, by), value: replace(&map.value, by) }))
        }
        Type::Optional(of) => Type::optional(replace(of, by)),
        Type::Kind(of) => Type::Kind(Arc::new(replace(of, by))),
        other => other.clone(),
    }
}
