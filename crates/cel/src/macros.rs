//! The macros beside the standard ones, which the parser expands itself:
//! comprehensions of two variables, `cel.bind`, `sortBy`, and those of optionals.

use crate::syntax::{Comprehension, Expr, Literal, Lowering, Node};

/// The variable that a comprehension gathers in.
pub(crate) const RESULT: &str = "@result";
const UNUSED: &str = "#unused";

/// The call `function(args)` or `target.function(args)`, or what the macro of
/// that form stands for.
pub(crate) fn expand(
    lowering: &mut Lowering<'_>,
    at: u32,
    function: String,
    target: Option<Box<Expr>>,
    mut args: Vec<Expr>,
) -> Expr {
    let is_bind = lowering.binds
        && matches!(target.as_deref(), Some(Expr { node: Node::Ident(name), .. }) if name == "cel");
    let Some(target) = target else { return call_at(at, &function, None, args) };
    match (&*function, args.len()) {
        ("bind", 3) if is_bind => bind(lowering, at, args),
        ("all" | "exists" | "existsOne" | "exists_one", 3) => {
            let Some((variable, second)) = two_names(lowering, &args) else { return nothing(at) };
            let predicate = args.remove(2);
            let accumulator = || ident(at, RESULT);
            let (init, condition, step, result) = match &*function {
                "all" => (
                    literal(at, Literal::Bool(true)),
                    call_at(at, "@not_strictly_false", None, vec![accumulator()]),
                    call_at(at, "_&&_", None, vec![accumulator(), predicate]),
                    accumulator(),
                ),
                "exists" => (
                    literal(at, Literal::Bool(false)),
                    call_at(
                        at,
                        "@not_strictly_false",
                        None,
                        vec![call_at(at, "!_", None, vec![accumulator()])],
                    ),
                    call_at(at, "_||_", None, vec![accumulator(), predicate]),
                    accumulator(),
                ),
                _ => {
                    let more = call_at(at, "_+_", None, vec![accumulator(), literal(at, Literal::Int(1))]);
                    (
                        literal(at, Literal::Int(0)),
                        literal(at, Literal::Bool(true)),
                        call_at(at, "_?_:_", None, vec![predicate, more, accumulator()]),
                        call_at(at, "_==_", None, vec![accumulator(), literal(at, Literal::Int(1))]),
                    )
                }
            };
            fold(at, *target, variable, Some(second), init, condition, step, result)
        }
        ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => {
            let Some((variable, second)) = two_names(lowering, &args) else { return nothing(at) };
            let made = args.pop().expect("three at least");
            let filter = (args.len() == 3).then(|| args.remove(2));
            let accumulator = ident(at, RESULT);
            let (init, grown) = match &*function {
                "transformList" => {
                    let one = Expr { node: Node::List(vec![(made, false)]), at };
                    (
                        Expr { node: Node::List(Vec::new()), at },
                        call_at(at, "_+_", None, vec![accumulator, one]),
                    )
                }
                "transformMap" => (
                    Expr { node: Node::Map(Vec::new()), at },
                    call_at(at, "cel.@mapInsert", None, vec![accumulator, ident(at, &variable), made]),
                ),
                _ => (
                    Expr { node: Node::Map(Vec::new()), at },
                    call_at(at, "cel.@mapInsert", None, vec![accumulator, made]),
                ),
            };
            let step = match filter {
                Some(filter) => call_at(at, "_?_:_", None, vec![filter, grown, ident(at, RESULT)]),
                None => grown,
            };
            let always = literal(at, Literal::Bool(true));
            fold(at, *target, variable, Some(second), init, always, step, ident(at, RESULT))
        }
        ("optMap" | "optFlatMap", 2) => {
            let Node::Ident(variable) = &args[0].node else {
                lowering
                    .refuse(args[0].at, &format!("{function}() variable name must be a simple identifier"));
                return nothing(at);
            };
            let variable = variable.clone();
            let made = args.remove(1);
            let value = call_at(at, "value", Some(target.clone()), Vec::new());
            let bound = bound_to(at, variable, value, made);
            let then =
                if function == "optMap" { call_at(at, "optional.of", None, vec![bound]) } else { bound };
            let has = call_at(at, "hasValue", Some(target), Vec::new());
            let none = call_at(at, "optional.none", None, Vec::new());
            call_at(at, "_?_:_", None, vec![has, then, none])
        }
        ("sortBy", 2) => {
            let Node::Ident(variable) = &args[0].node else {
                lowering.refuse(args[0].at, "argument is not an identifier");
                return nothing(at);
            };
            let variable = variable.clone();
            let key = Expr { node: Node::List(vec![(args.remove(1), false)]), at };
            let step = call_at(at, "_+_", None, vec![ident(at, RESULT), key]);
            let keys = fold(
                at,
                (*target).clone(),
                variable,
                None,
                Expr { node: Node::List(Vec::new()), at },
                literal(at, Literal::Bool(true)),
                step,
                ident(at, RESULT),
            );
            call_at(at, "@sortByAssociatedKeys", Some(target), vec![keys])
        }
        _ => call_at(at, &function, Some(target), args),
    }
}

fn bind(lowering: &mut Lowering<'_>, at: u32, mut args: Vec<Expr>) -> Expr {
    let Node::Ident(variable) = &args[0].node else {
        lowering.refuse(args[0].at, "cel.bind() variable names must be simple identifiers");
        return nothing(at);
    };
    let variable = variable.clone();
    let body = args.remove(2);
    let value = args.remove(1);
    bound_to(at, variable, value, body)
}

/// `body` with `variable` bound to `value`: a comprehension over nothing.
fn bound_to(at: u32, variable: String, value: Expr, body: Expr) -> Expr {
    let kept = ident(at, &variable);
    Expr {
        node: Node::Comprehension(Box::new(Comprehension {
            range: Expr { node: Node::List(Vec::new()), at },
            variable: UNUSED.to_owned(),
            second: None,
            accumulator: variable,
            init: value,
            condition: literal(at, Literal::Bool(false)),
            step: kept,
            result: body,
        })),
        at,
    }
}

/// The two names of a comprehension of two variables.
fn two_names(lowering: &mut Lowering<'_>, args: &[Expr]) -> Option<(String, String)> {
    let mut names = Vec::with_capacity(2);
    for arg in &args[..2] {
        match &arg.node {
            Node::Ident(name) => names.push(name.clone()),
            _ => {
                lowering.refuse(arg.at, "argument must be a simple name");
                return None;
            }
        }
    }
    let second = names.pop()?;
    let first = names.pop()?;
    if first == second {
        lowering.refuse(args[1].at, &format!("duplicate variable name: {second}"));
        return None;
    }
    Some((first, second))
}

#[allow(clippy::too_many_arguments)] // a comprehension's parts, in their order
fn fold(
    at: u32,
    range: Expr,
    variable: String,
    second: Option<String>,
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
) -> Expr {
    let accumulator = RESULT.to_owned();
    let fold = Comprehension { range, variable, second, accumulator, init, condition, step, result };
    Expr { node: Node::Comprehension(Box::new(fold)), at }
}

fn nothing(at: u32) -> Expr {
    literal(at, Literal::Null)
}

fn literal(at: u32, literal: Literal) -> Expr {
    Expr { node: Node::Literal(literal), at }
}

fn ident(at: u32, name: &str) -> Expr {
    Expr { node: Node::Ident(name.to_owned()), at }
}

fn call_at(at: u32, function: &str, target: Option<Box<Expr>>, args: Vec<Expr>) -> Expr {
    Expr { node: Node::Call { function: function.to_owned(), target, args }, at }
}
