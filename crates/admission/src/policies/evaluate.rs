//! Runs compiled expressions on a write, within a budget.

use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use apimachinery::Value;
use apiserver::{Admission, Stored, Version};
use cel::{Asked, Error, Fields, Meter, PER_CALL_LIMIT, Val};

use super::asker::{Asker, about_request};
use super::compiled::Expression;
use super::environment::REQUEST;
use super::request::request;
use apimachinery::Status;

/// What all expressions on one write may cost together (upstream's
/// RuntimeCELCostBudget).
const BUDGET: u64 = 10_000_000;

/// The trees that expressions see.
pub(crate) struct Inputs {
    pub object: Value,
    pub old: Value,
    pub request: Value,
    namespace: Value,
    pub params: Value,
}

impl Inputs {
    /// # Errors
    /// The objects cannot be expressed in that version.
    pub fn of(admission: &Admission<'_>, matched: &Version, object: &Value) -> Result<Self, Status> {
        let old = match admission.old {
            Some(old) => admission.served(matched, old)?,
            None => Value::Null,
        };
        let is_cluster = !admission.definition.is_namespaced() && admission.namespace.is_empty();
        let namespace = match is_cluster {
            true => None,
            false => admission.view.get("", "namespaces", "", admission.namespace),
        };
        Ok(Self {
            object: admission.served(matched, object)?,
            old,
            request: request(admission, matched),
            namespace: namespace.map_or(Value::Null, |namespace| shown(&namespace)),
            params: Value::Null,
        })
    }
}

/// A namespace as expressions see it.
fn shown(namespace: &Stored) -> Value {
    let mut tree = namespace.tree();
    let metadata = tree.entry("metadata");
    for hidden in ["managedFields", "ownerReferences", "selfLink"] {
        metadata.remove(hidden);
    }
    metadata.set("resourceVersion", namespace.revision().to_string());
    tree
}

/// The variables of expressions, and what they may still cost.
pub(crate) struct Scope<'a> {
    variables: Vec<(&'a str, Val<'a>)>,
    /// The policy's own variables.
    programs: &'a [(String, Expression)],
    /// What messages may name, from when the first is asked for: no authorizer.
    messages: OnceCell<Vec<(&'a str, Val<'a>)>>,
    budget: Rc<Meter>,
}

impl<'a> Scope<'a> {
    pub fn new(inputs: &'a Inputs, asker: &'a Asker<'a>, admission: &Admission<'a>) -> Self {
        let variables = vec![
            ("object", Val::untyped(&inputs.object)),
            ("oldObject", Val::untyped(&inputs.old)),
            ("request", Val::typed(&inputs.request, &REQUEST)),
            ("namespaceObject", Val::untyped(&inputs.namespace)),
            ("params", Val::untyped(&inputs.params)),
            ("authorizer", Asked::by(asker)),
            ("authorizer.requestResource", Asked::about(asker, about_request(admission))),
        ];
        Self { variables, programs: &[], messages: OnceCell::new(), budget: Rc::new(Meter::new(BUDGET)) }
    }

    /// Adds `variables`, computed where they are first asked for.
    pub fn compose(&mut self, programs: &'a [(String, Expression)]) {
        self.programs = programs;
        self.variables.push(self.composed(self.variables.clone()));
    }

    /// `variables` as expressions see it that know `base`.
    fn composed(&self, base: Vec<(&'a str, Val<'a>)>) -> (&'a str, Val<'a>) {
        let composed = Rc::new_cyclic(|me: &Weak<Composed<'a>>| Composed {
            programs: self.programs,
            base,
            budget: self.budget.clone(),
            known: RefCell::new(vec![None; self.programs.len()]),
            me: me.clone(),
        });
        ("variables", Val::Lazy(composed))
    }

    /// What an expression gives, or why not in upstream's words.
    pub fn evaluate(&self, expression: &'a Expression) -> Result<Val<'a>, String> {
        self.evaluated(expression, &self.variables)
    }

    /// As [`Scope::evaluate`], for the expression of a message.
    pub fn message(&self, expression: &'a Expression) -> Result<Val<'a>, String> {
        let messages = self.messages.get_or_init(|| {
            let is_known = |name: &str| name != "variables" && !name.starts_with("authorizer");
            let known = self.variables.iter().filter(|(name, _)| is_known(name));
            let mut known: Vec<(&str, Val<'a>)> = known.cloned().collect();
            known.push(self.composed(known.clone()));
            known
        });
        self.evaluated(expression, messages)
    }

    fn evaluated(
        &self,
        expression: &'a Expression,
        variables: &[(&'a str, Val<'a>)],
    ) -> Result<Val<'a>, String> {
        let told = |error: &dyn std::fmt::Display| {
            format!("expression '{}' resulted in error: {error}", expression.source)
        };
        run(expression, variables, &self.budget).map_err(|error| told(&error))
    }
}

fn run<'a>(
    expression: &'a Expression,
    variables: &[(&'a str, Val<'a>)],
    budget: &Meter,
) -> Result<Val<'a>, Error> {
    let program = match &expression.program {
        Ok(program) => program,
        Err(error) => return Err(Error::failed(format!("compilation error: {error}"))),
    };
    let meter = Meter::new(PER_CALL_LIMIT);
    let result = program.evaluate(variables, &meter);
    if budget.charge(meter.spent()).is_err() {
        return Err(Error::failed(
            "validation failed due to running out of cost budget, no further validation rules will be run",
        ));
    }
    result
}

struct Composed<'a> {
    programs: &'a [(String, Expression)],
    base: Vec<(&'a str, Val<'a>)>,
    budget: Rc<Meter>,
    known: RefCell<Vec<Option<Result<Val<'a>, Error>>>>,
    me: Weak<Composed<'a>>,
}

impl<'a> Fields<'a> for Composed<'a> {
    fn field(&self, name: &str) -> Result<Option<Val<'a>>, Error> {
        let Some(at) = self.programs.iter().position(|(known, _)| known == name) else { return Ok(None) };
        if let Some(known) = &self.known.borrow()[at] {
            return known.clone().map(Some);
        }
        let mut variables = self.base.clone();
        if let Some(me) = self.me.upgrade() {
            variables.push(("variables", Val::Lazy(me)));
        }
        let result = run(&self.programs[at].1, &variables, &self.budget).map_err(|error| {
            Error::failed(format!("composited variable \"{name}\" fails to evaluate: {error}"))
        });
        self.known.borrow_mut()[at] = Some(result.clone());
        result.map(Some)
    }
}
