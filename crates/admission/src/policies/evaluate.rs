//! Runs compiled expressions on a write, within a budget.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use apimachinery::{Status, Value};
use apiserver::{Admission, Stored, Version};
use cel::{Asked, Error, Fields, Meter, PER_CALL_LIMIT, Program, Val};

use super::asker::{Asker, about_request};
use super::compiled::Expression;
use super::environment::REQUEST;
use super::request::request;

/// What the expressions of one phase may cost together (upstream's
/// RuntimeCELCostBudget): validations and then their messages, audit
/// annotations, and each mutation.
pub(super) const BUDGET: u64 = 10_000_000;
/// Likewise the conditions of one webhook or policy
/// (RuntimeCELCostBudgetMatchConditions).
pub(super) const CONDITIONS_BUDGET: u64 = 2_500_000;

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

/// Why an expression gave nothing, in upstream's words.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub why: String,
    pub sort: ErrorType,
}

/// How metrics tell failures apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// It never compiled.
    Compilation,
    /// It failed, or made what nobody can use.
    Invalid,
    /// The phase has cost what it may: nothing more of it runs.
    OutOfBudget,
}

impl ErrorType {
    /// The label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Compilation => "compile_error",
            ErrorType::Invalid => "invalid_error",
            ErrorType::OutOfBudget => "out_of_budget",
        }
    }
}

/// The variables of expressions, and what they may still cost together.
pub(crate) struct Scope<'a> {
    variables: Vec<(&'a str, Val<'a>)>,
    budget: Rc<Budget>,
}

/// What a phase may still cost. It is looked at after each expression, not
/// within: what the policy's variables cost counts when the one that asked for
/// them is done.
struct Budget {
    left: Cell<u64>,
    is_spent: Cell<bool>,
}

impl Budget {
    fn charge(&self, cost: u64) {
        match self.left.get().checked_sub(cost) {
            Some(left) => self.left.set(left),
            None => self.is_spent.set(true),
        }
    }
}

impl<'a> Scope<'a> {
    /// Knows the objects, the request, the namespace and the parameters.
    pub fn new(inputs: &'a Inputs, budget: u64) -> Self {
        let variables = vec![
            ("object", Val::untyped(&inputs.object)),
            ("oldObject", Val::untyped(&inputs.old)),
            ("request", Val::typed(&inputs.request, &REQUEST)),
            ("namespaceObject", Val::untyped(&inputs.namespace)),
            ("params", Val::untyped(&inputs.params)),
        ];
        Self { variables, budget: Rc::new(Budget { left: budget.into(), is_spent: false.into() }) }
    }

    /// Lets expressions ask who may do what.
    pub fn asking(mut self, asker: &'a Asker<'a>, admission: &Admission<'_>) -> Self {
        self.variables.push(("authorizer", Asked::by(asker)));
        self.variables.push(("authorizer.requestResource", Asked::about(asker, about_request(admission))));
        self
    }

    /// Adds the policy's own variables, computed where they are first asked for.
    pub fn composing(mut self, programs: &'a [(String, Expression)]) -> Self {
        let composed = Rc::new_cyclic(|me: &Weak<Composed<'a>>| Composed {
            programs,
            base: self.variables.clone(),
            budget: self.budget.clone(),
            known: RefCell::new(vec![None; programs.len()]),
            me: me.clone(),
        });
        self.variables.push(("variables", Val::Lazy(composed)));
        self
    }

    /// What the phase may still cost.
    pub fn left(&self) -> u64 {
        self.budget.left.get()
    }

    /// What an expression gives.
    pub fn evaluate(&self, expression: &'a Expression) -> Result<Val<'a>, Failed> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(error) => {
                let why = format!("compilation error: {error}");
                return Err(Failed { why, sort: ErrorType::Compilation });
            }
        };
        let made = run(program, &self.variables, &self.budget);
        if self.budget.is_spent.get() {
            let why = "validation failed due to running out of cost budget, no further validation rules will be run";
            return Err(Failed { why: why.to_owned(), sort: ErrorType::OutOfBudget });
        }
        made.map_err(|error| Failed {
            why: format!("expression '{}' resulted in error: {error}", expression.source),
            sort: ErrorType::Invalid,
        })
    }
}

fn run<'a>(
    program: &'a Program,
    variables: &[(&'a str, Val<'a>)],
    budget: &Budget,
) -> Result<Val<'a>, Error> {
    let meter = Meter::new(PER_CALL_LIMIT);
    let made = program.evaluate(variables, &meter);
    budget.charge(meter.spent());
    made
}

struct Composed<'a> {
    programs: &'a [(String, Expression)],
    base: Vec<(&'a str, Val<'a>)>,
    budget: Rc<Budget>,
    known: RefCell<Vec<Option<Result<Val<'a>, Error>>>>,
    me: Weak<Composed<'a>>,
}

impl<'a> Fields<'a> for Composed<'a> {
    fn field(&self, name: &str) -> Result<Option<Val<'a>>, Error> {
        let Some(at) = self.programs.iter().position(|(known, _)| known == name) else { return Ok(None) };
        if let Some(known) = &self.known.borrow()[at] {
            return known.clone().map(Some);
        }
        if self.budget.is_spent.get() {
            // Whatever it gave would not be looked at.
            return Err(Error::TooExpensive);
        }
        let mut variables = self.base.clone();
        if let Some(me) = self.me.upgrade() {
            variables.push(("variables", Val::Lazy(me)));
        }
        let result = match &self.programs[at].1.program {
            Ok(program) => run(program, &variables, &self.budget).map_err(|error| {
                Error::failed(format!("composited variable \"{name}\" fails to evaluate: {error}"))
            }),
            Err(error) => {
                Err(Error::failed(format!("composited variable \"{name}\" fails to compile: {error}")))
            }
        };
        self.known.borrow_mut()[at] = Some(result.clone());
        result.map(Some)
    }
}
