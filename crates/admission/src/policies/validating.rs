//! ValidatingAdmissionPolicy: refuses, warns or notes by expressions on
//! requests and objects.

use std::sync::Arc;

use apimachinery::{Status, Value, json, value};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes};
use cel::Val;

use super::asker::Asker;
use super::compiled::{Binding, Conditioned, Expression, Kind, Policies, Policy};
use super::environment::Environments;
use super::evaluate::{Inputs, Scope};
use super::parameters;
use crate::matching::{is_exempt, unconverted};

/// A message that an expression makes may be this long, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;
/// Of audit annotations, likewise.
const MAX_ANNOTATION: usize = 10 * 1024;

/// See the module.
pub(crate) struct ValidatingAdmissionPolicy {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
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
    /// The number of the validation, of those that were checked at all.
    validation: Option<usize>,
}

impl Failure {
    fn of(message: String) -> Self {
        Self { message, reason: String::new(), validation: None }
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
                    for failure in self.failures(admission, policy, &inputs, notes) {
                        for action in &binding.actions {
                            match &**action {
                                "Deny" => {
                                    refusal.get_or_insert_with(|| {
                                        refuse(admission, object, policy, binding, &failure)
                                    });
                                }
                                "Warn" => notes.warnings.push(format!(
                                    "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                                    policy.name, binding.name, failure.message
                                )),
                                _ => told.push(value!({
                                    "message": &failure.message,
                                    "policy": &policy.name,
                                    "binding": &binding.name,
                                    "expressionIndex": failure.validation.unwrap_or(0) as i64,
                                    "validationActions": Value::Array(
                                        binding.actions.iter().map(Value::from).collect()
                                    )
                                })),
                            }
                        }
                    }
                }
            }
        }
        if !told.is_empty() {
            let key = "validation.policy.admission.k8s.io/validation_failure".to_owned();
            notes.audit.push((key, json::to_string(&Value::Array(told))));
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl ValidatingAdmissionPolicy {
    /// What is against the write, in the order of the validations.
    fn failures(
        &self,
        admission: &Admission<'_>,
        policy: &Policy<Validating>,
        inputs: &Inputs,
        notes: &mut Notes,
    ) -> Vec<Failure> {
        let asker = Asker::new(&self.authorizers, admission);
        let mut scope = Scope::new(inputs, &asker, admission);
        match policy.conditions.hold(&scope) {
            Conditioned::Matches => {}
            Conditioned::Passes => return Vec::new(),
            Conditioned::Failed(why) => {
                return if policy.fails { vec![Failure::of(why)] } else { Vec::new() };
            }
        }
        scope.compose(&policy.variables);
        let mut failures = Vec::new();
        for (at, validation) in policy.body.validations.iter().enumerate() {
            let failed = match scope.evaluate(&validation.expression) {
                Ok(Val::Bool(true)) => continue,
                Ok(_) => {
                    let made = validation.message_expression.as_ref().and_then(|made| message(&scope, made));
                    let own = Some(&validation.message).filter(|message| !message.is_empty()).cloned();
                    let message = made
                        .or(own)
                        .unwrap_or_else(|| format!("failed expression: {}", validation.expression.source));
                    Failure { message, reason: validation.reason.clone(), validation: Some(at) }
                }
                Err(_) if !policy.fails => continue,
                Err(why) => Failure { validation: Some(at), ..Failure::of(why) },
            };
            failures.push(failed);
        }
        for (key, expression) in &policy.body.annotations {
            match scope.evaluate(expression) {
                Ok(Val::String(text)) if !text.trim().is_empty() => {
                    let mut end = text.len().min(MAX_ANNOTATION);
                    while !text.is_char_boundary(end) {
                        end -= 1;
                    }
                    notes.audit.push((format!("{}/{key}", policy.name), text[..end].trim().to_owned()));
                }
                Ok(_) => {}
                Err(_) if !policy.fails => {}
                Err(why) => failures.push(Failure::of(why)),
            }
        }
        failures
    }
}

/// The text of a messageExpression, where it is fit to be shown.
fn message<'a>(scope: &Scope<'a>, expression: &'a Expression) -> Option<String> {
    let Ok(Val::String(text)) = scope.message(expression) else { return None };
    let text = text.trim();
    let is_fit = !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
    is_fit.then(|| text.to_owned())
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
