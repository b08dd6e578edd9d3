//! A compiled expression: what the rest of the program holds of this room.

use crate::check;
use crate::constants;
use crate::error::{CompileError, Error};
use crate::estimate::{self, Estimate};
use crate::eval::{Evaluator, Meter, Variables};
use crate::sizes::Sizes;
use crate::stack;
use crate::syntax::{self, Expr, Literal, Node, Problem};
use crate::types::{Environment, Type};
use crate::value::Val;

/// What one expression may cost (upstream's `PerCallLimit`).
pub const PER_CALL_LIMIT: u64 = 1_000_000;

/// A checked expression. Cheap to run again and again, by many threads.
#[derive(Debug)]
pub struct Program {
    source: String,
    expr: Expr,
    result: Type,
    /// The type of each node, in walking order.
    types: Vec<Type>,
}

impl Program {
    /// Parses and checks `source`.
    ///
    /// # Errors
    /// All that is wrong with it, in upstream's words.
    pub fn compile(source: &str, environment: &Environment) -> Result<Self, CompileError> {
        stack::for_source(source, || Self::compiled(source, environment))
    }

    fn compiled(source: &str, environment: &Environment) -> Result<Self, CompileError> {
        let shown = |problems: Vec<Problem>| {
            CompileError::Source(problems.iter().map(|problem| problem.show(source)).collect())
        };
        let mut expr = syntax::parse(source, environment.binds).map_err(shown)?;
        let checked = check::check(source, &mut expr, environment).map_err(shown)?;
        constants::check(&expr).map_err(CompileError::Constant)?;
        Ok(Self { source: source.to_owned(), expr, result: checked.result, types: checked.types })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of what it gives.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Whether the expression names the variable.
    pub fn mentions(&self, variable: &str) -> bool {
        let mut found = false;
        self.expr.walk(&mut |node| {
            found |= matches!(&node.node, Node::Ident(name)
                if name == variable || name.strip_prefix(variable).is_some_and(|rest| rest.starts_with('.')));
        });
        found
    }

    /// The text that this is, where it is nothing but a literal text.
    pub fn literal_text(&self) -> Option<&str> {
        match &self.expr.node {
            Node::Literal(Literal::String(text)) => Some(text),
            _ => None,
        }
    }

    /// What running it may cost. `variables` gives the sizes of a variable by its
    /// name; upstream asks for those of its own names (`@items`), too.
    pub fn estimate<'s>(&self, variables: impl Fn(&str) -> Option<&'s Sizes>) -> Estimate {
        estimate::of(&self.expr, &self.types, &variables)
    }

    /// Runs the expression. Its cost is charged to `meter`.
    ///
    /// # Errors
    /// The expression's own error, or that it cost too much.
    pub fn evaluate<'a>(&'a self, variables: &Variables<'a>, meter: &Meter) -> Result<Val<'a>, Error> {
        Evaluator { variables, locals: Vec::new(), meter }.expr(&self.expr)
    }
}
