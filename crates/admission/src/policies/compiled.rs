//! Policies and their bindings, read and compiled: an index of the view, made
//! again when one of them changes.

use std::marker::PhantomData;

use apimachinery::Value;
use apiserver::{Admission, Derived, View};
use cel::{Environment, Program, Val};
use tokio::time::Instant;

use super::asker::Asker;
use super::environment::Environments;
use super::evaluate::{CONDITIONS_BUDGET, ErrorType, Failed, Inputs, Scope};
use crate::matching::Matcher;
use crate::metrics::{ConditionMetrics, Conditional};

/// An expression, compiled or refused.
pub(crate) struct Expression {
    pub source: String,
    pub program: Result<Program, String>,
}

impl Expression {
    pub fn compile(source: &str, environment: &Environment) -> Self {
        Self::of(source, Program::compile(source, environment))
    }

    fn of(source: &str, program: Result<Program, cel::CompileError>) -> Self {
        Self { source: source.trim().to_owned(), program: program.map_err(|error| error.to_string()) }
    }
}

/// `matchConditions`.
pub(crate) struct Conditions(Vec<Expression>);

/// What conditions say of a write.
#[derive(Debug, PartialEq, Eq)]
enum Conditioned {
    Matches,
    /// One of them is false, after so many that failed.
    Passes(usize),
    /// None is false, but some failed.
    Failed(Vec<String>),
    /// Together they cost too much.
    OutOfBudget(String),
}

impl Conditioned {
    /// How many failed.
    fn errors(&self) -> usize {
        match self {
            Conditioned::Matches | Conditioned::OutOfBudget(_) => 0,
            Conditioned::Passes(before) => *before,
            Conditioned::Failed(all) => all.len(),
        }
    }

    fn read(self) -> Result<bool, Failed> {
        let invalid = |why| Failed { why, sort: ErrorType::Invalid };
        match self {
            Conditioned::Matches => Ok(true),
            Conditioned::Passes(_) => Ok(false),
            Conditioned::OutOfBudget(why) => Err(Failed { why, sort: ErrorType::OutOfBudget }),
            Conditioned::Failed(mut all) if all.len() == 1 => Err(invalid(all.remove(0))),
            Conditioned::Failed(all) => Err(invalid(format!("[{}]", all.join(", ")))),
        }
    }
}

impl Conditions {
    pub fn compile(list: &Value, environment: &Environment) -> Self {
        let compile = |condition: &Value| Expression::compile(condition["expression"].text(), environment);
        Self(list.items().iter().map(compile).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they hold of a write; what is counted of them is `of`'s.
    ///
    /// # Errors
    /// None is false, but some failed or all cost too much: upstream's words.
    pub fn hold<'a>(
        &'a self,
        inputs: &'a Inputs,
        asker: &'a Asker<'a>,
        admission: &Admission<'_>,
        (metrics, of): (&ConditionMetrics, Conditional<'_>),
    ) -> Result<bool, Failed> {
        if self.is_empty() {
            return Ok(true);
        }
        let started = Instant::now();
        let scope = Scope::new(inputs, CONDITIONS_BUDGET).asking(asker, admission);
        let outcome = self.outcome(&scope);
        if outcome != Conditioned::Matches {
            metrics.evaluated(of, outcome.errors(), started.elapsed());
        }
        outcome.read()
    }

    fn outcome<'a>(&'a self, scope: &Scope<'a>) -> Conditioned {
        // Each is run, for what they cost together counts even where one is false.
        let mut made = Vec::with_capacity(self.0.len());
        for condition in &self.0 {
            match scope.evaluate(condition) {
                Err(Failed { why, sort: ErrorType::OutOfBudget }) => return Conditioned::OutOfBudget(why),
                result => made.push(result),
            }
        }
        let mut failed = Vec::new();
        for result in made {
            match result {
                Ok(Val::Bool(true)) => {}
                Ok(_) => return Conditioned::Passes(failed.len()),
                Err(error) => failed.push(error.why),
            }
        }
        if failed.is_empty() { Conditioned::Matches } else { Conditioned::Failed(failed) }
    }
}

/// What a kind of policies is: where its objects are, and what a policy does.
pub(crate) trait Kind: Send + Sync + Sized + 'static {
    const SOURCES: &'static [(&'static str, &'static str)];

    /// What one policy does beside matching.
    fn compile(spec: &Value, environments: &Environments) -> Self;
}

/// A policy with its bindings.
pub(crate) struct Policy<K> {
    pub name: String,
    /// Whether an error refuses the write.
    pub fails: bool,
    pub looks_again: bool,
    pub matcher: Matcher,
    pub conditions: Conditions,
    pub variables: Vec<(String, Expression)>,
    /// `apiVersion` and `kind` of parameters.
    pub param_kind: Option<(String, String)>,
    pub body: K,
    pub bindings: Vec<Binding>,
}

pub(crate) struct Binding {
    pub name: String,
    pub matcher: Option<Matcher>,
    /// Null where it names none.
    pub param_ref: Value,
    pub actions: Vec<String>,
}

/// All policies of a kind that have a binding, by name.
pub(crate) struct Policies<K> {
    pub policies: Vec<Policy<K>>,
    kind: PhantomData<K>,
}

impl<K: Kind> Policies<K> {
    pub fn concern(&self, admission: &Admission<'_>) -> bool {
        self.policies.iter().any(|policy| policy.matcher.concerns(admission))
    }
}

impl<K: Kind> Derived for Policies<K> {
    const SOURCES: &'static [(&'static str, &'static str)] = K::SOURCES;

    fn derive(view: &View) -> Self {
        let [(group, policies), (_, bindings)] = K::SOURCES else {
            return Self { policies: Vec::new(), kind: PhantomData };
        };
        let bindings: Vec<Value> = view.list(group, bindings, "").map(|stored| stored.tree()).collect();
        let policies = view
            .list(group, policies, "")
            .filter_map(|stored| {
                let own: Vec<Binding> = bindings
                    .iter()
                    .filter(|binding| binding["spec"]["policyName"].text() == stored.name())
                    .map(read_binding)
                    .collect();
                (!own.is_empty()).then(|| read_policy(stored.name(), &stored.tree()["spec"], own))
            })
            .collect();
        Self { policies, kind: PhantomData }
    }
}

fn read_binding(binding: &Value) -> Binding {
    let spec = &binding["spec"];
    Binding {
        name: binding["metadata"]["name"].text().to_owned(),
        matcher: spec["matchResources"]
            .as_object()
            .is_some()
            .then(|| Matcher::of(&spec["matchResources"], "resourceRules")),
        param_ref: spec["paramRef"].clone(),
        actions: spec["validationActions"].items().iter().map(|action| action.text().to_owned()).collect(),
    }
}

fn read_policy<K: Kind>(name: &str, spec: &Value, bindings: Vec<Binding>) -> Policy<K> {
    let param_kind = &spec["paramKind"];
    let mut environments = Environments::new(!param_kind.is_null(), true);
    let conditions = Conditions::compile(&spec["matchConditions"], environments.conditions());
    let mut variables = Vec::new();
    for variable in spec["variables"].items() {
        let (name, source) = (variable["name"].text(), variable["expression"].text());
        let compiled = environments.add_variable(name, source);
        variables.push((name.to_owned(), Expression::of(source, compiled)));
    }
    Policy {
        name: name.to_owned(),
        fails: spec["failurePolicy"].text() != "Ignore",
        looks_again: spec["reinvocationPolicy"].text() == "IfNeeded",
        matcher: Matcher::of(&spec["matchConstraints"], "resourceRules"),
        conditions,
        variables,
        param_kind: (!param_kind.is_null())
            .then(|| (param_kind["apiVersion"].text().to_owned(), param_kind["kind"].text().to_owned())),
        body: K::compile(spec, &environments),
        bindings,
    }
}
