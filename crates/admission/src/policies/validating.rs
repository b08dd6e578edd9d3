//! ValidatingAdmissionPolicy: refuses, warns or notes by expressions on
//! requests and objects.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Status, Value, json, value};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes};
use cel::Val;
use tokio::time::Instant;

use super::asker::Asker;
use super::compiled::{Binding, Expression, Kind, Policies, Policy};
use super::environment::Environments;
use super::evaluate::{BUDGET, ErrorType, Failed, Inputs, Scope};
use super::parameters;
use crate::matching::{is_exempt, unconverted};
use crate::metrics::{ConditionMetrics, Conditional, ValidatingMetrics};

/// A message that an expression makes may be this long, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;
/// Of audit annotations, likewise.
const MAX_ANNOTATION: usize = 10 * 1024;
/// So many failures are told in an audit annotation.
const MAX_TOLD: usize = 50;

/// See the module.
pub(crate) struct ValidatingAdmissionPolicy {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
    pub metrics: ValidatingMetrics,
    pub conditions: ConditionMetrics,
}

/// What a policy checks and notes.
struct Validating {
    validations: Vec<Validation>,
    /// Keys and their values.
    annotations: Vec<(String, Expression)>,
}

struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

impl Kind for Validating {
    const SOURCES: &'static [(&'static str, &'static str)] = &[
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ];

    fn compile(spec: &Value, environments: &Environments) -> Self {
        let compile = |source: &str| Expression::compile(source, environments.body());
        let validations = spec["validations"].items().iter().map(|validation| Validation {
            expression: compile(validation["expression"].text()),
            message: validation["message"].text().trim().to_owned(),
            message_expression: validation["messageExpression"]
                .as_str()
                .filter(|source| !source.is_empty())
                .map(|source| Expression::compile(source, environments.messages())),
            reason: validation["reason"].text().to_owned(),
        });
        let annotations = spec["auditAnnotations"].items().iter().map(|annotation| {
            (annotation["key"].text().to_owned(), compile(annotation["valueExpression"].text()))
        });
        Self { validations: validations.collect(), annotations: annotations.collect() }
    }
}

/// Why a binding does not let a write pass.
struct Failure {
    message: String,
    /// A StatusReason; "" is Invalid.
    reason: String,
}

impl Failure {
    fn of(message: String) -> Self {
        Self { message, reason: String::new() }
    }
}

/// What an expression that did not hold comes to.
struct Decision {
    /// Of the expressions of its phase.
    index: usize,
    error: ErrorType,
    took: Duration,
    /// None where the policy lets pass what fails.
    failure: Option<Failure>,
}

/// What a policy says of a write.
#[derive(Default)]
struct Decided {
    validations: Vec<Decision>,
    /// Audit annotations that failed: they refuse whatever the binding's actions are.
    annotations: Vec<Decision>,
}

impl Decided {
    /// What ends it all, before any expression of its own.
    fn at_once(failed: Failed, fails: bool) -> Self {
        Self { validations: vec![Decision::failed(0, failed, Duration::ZERO, fails)], ..Self::default() }
    }
}

impl Decision {
    fn failed(index: usize, failed: Failed, took: Duration, fails: bool) -> Self {
        Self { index, error: failed.sort, took, failure: fails.then(|| Failure::of(failed.why)) }
    }
}

impl AdmissionPlugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        !is_exempt(admission) && admission.view.derived::<Policies<Validating>>().concern(admission)
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, notes: &mut Notes) -> Result<(), Status> {
        let index = admission.view.derived::<Policies<Validating>>();
        let mut refusal: Option<Status> = None;
        let mut told: Vec<Value> = Vec::new();
        for policy in index.policies.iter().filter(|policy| policy.matcher.concerns(admission)) {
            let Some(version) = policy.matcher.matches(admission, object) else { continue };
            let mut inputs = Inputs::of(admission, version, object).map_err(unconverted)?;
            for binding in &policy.bindings {
                if binding
                    .matcher
                    .as_ref()
                    .is_some_and(|matcher| matcher.matches(admission, object).is_none())
                {
                    continue;
                }
                let params = match parameters::of(admission, policy.param_kind.as_ref(), &binding.param_ref) {
                    Ok(params) => params,
                    Err(why) if policy.fails => {
                        let failure = Failure::of(format!("failed to configure binding: {why}"));
                        refusal.get_or_insert_with(|| refuse(admission, object, policy, binding, &failure));
                        continue;
                    }
                    Err(_) => continue,
                };
                for params in params {
                    inputs.params = params;
                    let decided = self.decide(admission, policy, &inputs, notes);
                    let bound = (&*policy.name, &*binding.name);
                    for Decision { index, error, took, failure } in decided.validations {
                        let Some(failure) = failure else {
                            self.metrics.checked(bound, "allow", error, took);
                            continue;
                        };
                        for action in &binding.actions {
                            let counted = match &**action {
                                "Deny" => {
                                    refusal.get_or_insert_with(|| {
                                        refuse(admission, object, policy, binding, &failure)
                                    });
                                    "deny"
                                }
                                "Warn" => {
                                    notes.warnings.push(format!(
                                        "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                                        policy.name, binding.name, failure.message
                                    ));
                                    "warn"
                                }
                                _ => {
                                    told.push(value!({
                                        "message": &failure.message,
                                        "policy": &policy.name,
                                        "binding": &binding.name,
                                        "expressionIndex": index as i64,
                                        "validationActions": Value::Array(
                                            binding.actions.iter().map(Value::from).collect()
                                        )
                                    }));
                                    "audit"
                                }
                            };
                            self.metrics.checked(bound, counted, error, took);
                        }
                    }
                    for Decision { error, took, failure, .. } in decided.annotations {
                        if let Some(failure) = failure {
                            refusal
                                .get_or_insert_with(|| refuse(admission, object, policy, binding, &failure));
                            self.metrics.checked(bound, "deny", error, took);
                        }
                    }
                }
            }
        }
        told.truncate(MAX_TOLD);
        if !told.is_empty() {
            let key = "validation.policy.admission.k8s.io/validation_failure".to_owned();
            notes.audit.push((key, json::to_string(&Value::Array(told))));
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl ValidatingAdmissionPolicy {
    /// What is against the write, in the order of the expressions.
    fn decide(
        &self,
        admission: &Admission<'_>,
        policy: &Policy<Validating>,
        inputs: &Inputs,
        notes: &mut Notes,
    ) -> Decided {
        let asker = Asker::new(&self.authorizers, admission);
        let counted = Conditional {
            name: &policy.name,
            kind: "policy",
            sort: "validate",
            operation: admission.operation,
        };
        match policy.conditions.hold(inputs, &asker, admission, (&self.conditions, counted)) {
            Ok(true) => {}
            Ok(false) => return Decided::default(),
            Err(_) if !policy.fails => return Decided::default(),
            Err(failed) => return Decided::at_once(failed, policy.fails),
        }
        let scope = Scope::new(inputs, BUDGET).asking(&asker, admission).composing(&policy.variables);
        let validations = match validate(policy, inputs, &scope) {
            Ok(validations) => validations,
            Err(failed) => return Decided::at_once(failed, policy.fails),
        };
        match annotate(policy, inputs, notes) {
            Ok(annotations) => Decided { validations, annotations },
            Err(failed) => Decided::at_once(failed, policy.fails),
        }
    }
}

/// What the validations come to.
///
/// # Errors
/// All of them together cost too much.
fn validate<'a>(
    policy: &'a Policy<Validating>,
    inputs: &Inputs,
    scope: &Scope<'a>,
) -> Result<Vec<Decision>, Failed> {
    let mut made = Vec::with_capacity(policy.body.validations.len());
    for validation in &policy.body.validations {
        let started = Instant::now();
        match scope.evaluate(&validation.expression) {
            Err(failed) if failed.sort == ErrorType::OutOfBudget => return Err(failed),
            result => made.push((result.map(|held| matches!(held, Val::Bool(true))), started.elapsed())),
        }
    }
    if made.iter().all(|(held, _)| matches!(held, Ok(true))) {
        return Ok(Vec::new());
    }
    let messages = messages(policy, inputs, scope.left());
    let decisions = policy.body.validations.iter().zip(made).enumerate();
    let decide = |(index, (validation, (held, took))): (usize, (&Validation, _))| {
        let failure = match (held, &messages) {
            (Err(failed), _) => return Some(Decision::failed(index, failed, took, policy.fails)),
            (Ok(_), Err(failed)) => {
                let why = format!("failed messageExpression: {}", failed.why);
                let failed = Failed { why, sort: ErrorType::Invalid };
                return Some(Decision::failed(index, failed, took, policy.fails));
            }
            (Ok(true), Ok(_)) => return None,
            (Ok(false), Ok(messages)) => {
                let own = Some(&validation.message).filter(|message| !message.is_empty());
                let message = messages[index].as_ref().or(own).cloned();
                let message =
                    message.unwrap_or_else(|| format!("failed expression: {}", validation.expression.source));
                Failure { message, reason: validation.reason.clone() }
            }
        };
        Some(Decision { index, error: ErrorType::Invalid, took, failure: Some(failure) })
    };
    Ok(decisions.filter_map(decide).collect())
}

/// The message that each validation makes, where that is fit to be shown. Made
/// only where one is needed; then all are, for together they may cost `budget`.
///
/// # Errors
/// They cost more.
fn messages(
    policy: &Policy<Validating>,
    inputs: &Inputs,
    budget: u64,
) -> Result<Vec<Option<String>>, Failed> {
    let scope = Scope::new(inputs, budget).composing(&policy.variables);
    let made = policy.body.validations.iter().map(|validation| {
        let Some(expression) = &validation.message_expression else { return Ok(None) };
        match scope.evaluate(expression) {
            Err(failed) if failed.sort == ErrorType::OutOfBudget => Err(failed),
            Ok(Val::String(text)) => {
                let text = text.trim();
                let is_fit = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
                Ok(is_fit.then(|| text.to_owned()))
            }
            _ => Ok(None),
        }
    });
    made.collect()
}

/// Notes the audit annotations; gives those that failed. They cannot ask who may
/// do what.
///
/// # Errors
/// All of them together cost too much.
fn annotate(
    policy: &Policy<Validating>,
    inputs: &Inputs,
    notes: &mut Notes,
) -> Result<Vec<Decision>, Failed> {
    let mut failures = Vec::new();
    if policy.body.annotations.is_empty() {
        return Ok(failures);
    }
    let scope = Scope::new(inputs, BUDGET).composing(&policy.variables);
    for (index, (key, expression)) in policy.body.annotations.iter().enumerate() {
        let started = Instant::now();
        match scope.evaluate(expression) {
            Ok(Val::String(text)) if !text.trim().is_empty() => {
                let mut end = text.len().min(MAX_ANNOTATION);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                notes.audit.push((format!("{}/{key}", policy.name), text[..end].trim().to_owned()));
            }
            Ok(_) => {}
            Err(failed) if failed.sort == ErrorType::OutOfBudget => return Err(failed),
            Err(failed) => failures.push(Decision::failed(index, failed, started.elapsed(), policy.fails)),
        }
    }
    Ok(failures)
}

fn refuse<K>(
    admission: &Admission<'_>,
    object: &Value,
    policy: &Policy<K>,
    binding: &Binding,
    failure: &Failure,
) -> Status {
    let why = format!(
        "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
        policy.name, binding.name, failure.message
    );
    let mut status = admission.forbid(object, &why);
    (status.reason, status.code) = match &*failure.reason {
        "Unauthorized" => ("Unauthorized", 401),
        "Forbidden" => ("Forbidden", 403),
        "RequestEntityTooLarge" => ("RequestEntityTooLarge", 413),
        _ => ("Invalid", 422),
    };
    status.with_cause("", &why, "")
}
