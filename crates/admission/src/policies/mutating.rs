//! MutatingAdmissionPolicy: changes objects by expressions that make apply
//! configurations or JSON patches.

use std::sync::Arc;

use api::facts;
use apimachinery::patch::{self, json::Patch as JsonPatch};
use apimachinery::schema::{self, Strictness};
use apimachinery::{Status, Value, json, managed_fields};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes, Operation, Version};
use cel::Val;

use super::asker::Asker;
use super::compiled::{Binding, Conditioned, Expression, Kind, Policies, Policy};
use super::environment::Environments;
use super::evaluate::{Inputs, Scope};
use super::parameters;
use crate::matching::{is_exempt, unconverted};

/// See the module.
pub(crate) struct MutatingAdmissionPolicy {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

/// What a policy changes, in order.
struct Mutating(Vec<Mutation>);

enum Mutation {
    Apply(Expression),
    JsonPatch(Expression),
}

impl Kind for Mutating {
    const SOURCES: &'static [(&'static str, &'static str)] = &[
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ];

    fn compile(spec: &Value, environments: &Environments) -> Self {
        let environment = environments.mutations();
        let compile = |source: &Value| Expression::compile(source["expression"].text(), &environment);
        let read = |mutation: &Value| match mutation["patchType"].text() {
            "JSONPatch" => Mutation::JsonPatch(compile(&mutation["jsonPatch"])),
            _ => Mutation::Apply(compile(&mutation["applyConfiguration"])),
        };
        Self(spec["mutations"].items().iter().map(read).collect())
    }
}

impl AdmissionPlugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        matches!(admission.operation, Operation::Create | Operation::Update)
            && !is_exempt(admission)
            && admission.view.derived::<Policies<Mutating>>().concern(admission)
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, notes: &mut Notes) -> Result<(), Status> {
        let index = admission.view.derived::<Policies<Mutating>>();
        let mut any_changed = false;
        let mut errors = Vec::new();
        for policy in index.policies.iter().filter(|policy| policy.matcher.concerns(admission)) {
            for binding in &policy.bindings {
                let Some(version) = policy.matcher.matches(admission, object) else { break };
                if binding
                    .matcher
                    .as_ref()
                    .is_some_and(|matcher| matcher.matches(admission, object).is_none())
                {
                    continue;
                }
                let call = format!("policy/{}/{}", policy.name, binding.name);
                if !notes.reinvocation.calls_for(&call) {
                    continue;
                }
                let before = object.clone();
                let failed = self.bound(admission, policy, binding, version, object)?;
                if policy.fails {
                    errors.extend(failed);
                }
                let changed = *object != before;
                any_changed |= changed;
                notes.reinvocation.has_run(&call, changed, policy.looks_again);
            }
        }
        refuse(admission, object, errors)?;
        if any_changed { admission.prune(object) } else { Ok(()) }
    }
}

/// Why a mutation was not made, and the reason of the refusal where that is not
/// just that it is forbidden.
struct Failed {
    message: String,
    reason: Option<&'static str>,
}

impl MutatingAdmissionPolicy {
    /// Runs one binding of a policy, for each of its parameters. A mutation that
    /// fails changes nothing, and the others are made all the same.
    ///
    /// # Errors
    /// What refuses the write whatever the policy says of failures.
    fn bound(
        &self,
        admission: &Admission<'_>,
        policy: &Policy<Mutating>,
        binding: &Binding,
        version: &Version,
        object: &mut Value,
    ) -> Result<Vec<Failed>, Status> {
        let failed = |why: String, reason: Option<&'static str>| Failed {
            message: format!(
                "policy '{}' with binding '{}' denied request: {why}",
                policy.name, binding.name
            ),
            reason,
        };
        let params = match parameters::of(admission, policy.param_kind.as_ref(), &binding.param_ref) {
            Ok(params) => params,
            Err(why) => return Ok(vec![failed(format!("failed to configure binding: {why}"), None)]),
        };
        let asker = Asker::new(&self.authorizers, admission);
        let mut errors = Vec::new();
        for params in params {
            let mut inputs = Inputs::of(admission, version, object).map_err(unconverted)?;
            inputs.params = params;
            match policy.conditions.hold(&Scope::new(&inputs, &asker, admission)) {
                Conditioned::Matches => {}
                Conditioned::Passes => continue,
                Conditioned::Failed(why) => {
                    errors.push(failed(why, Some("Invalid")));
                    continue;
                }
            }
            for mutation in &policy.body.0 {
                let made = {
                    let mut scope = Scope::new(&inputs, &asker, admission);
                    scope.compose(&policy.variables);
                    changed(admission, version, &scope, mutation, &inputs.object)
                };
                let taken = made.and_then(|made| {
                    let taken = admission.taken_back(version, made);
                    taken.map_err(|status| Unmade::Failed(status.message))
                });
                match taken {
                    Ok(taken) => {
                        *object = taken;
                        inputs.object = admission.served(version, object).map_err(unconverted)?;
                    }
                    Err(Unmade::Refused(status)) => return Err(status),
                    Err(Unmade::Failed(why)) => errors.push(failed(why, Some("Invalid"))),
                }
            }
        }
        Ok(errors)
    }
}

/// Why a mutation was not made.
enum Unmade {
    /// As the policy says of failures.
    Failed(String),
    /// Whatever it says.
    Refused(Status),
}

impl From<String> for Unmade {
    fn from(why: String) -> Self {
        Unmade::Failed(why)
    }
}

/// The object with one mutation.
fn changed<'a>(
    admission: &Admission<'_>,
    version: &Version,
    scope: &Scope<'a>,
    mutation: &'a Mutation,
    object: &Value,
) -> Result<Value, Unmade> {
    match mutation {
        Mutation::Apply(expression) => {
            let made = scope.evaluate(expression)?;
            check_names(&made)?;
            let mut configuration = made.tree().unwrap_or_default();
            for member in ["apiVersion", "kind"] {
                configuration.set(member, object[member].clone());
            }
            managed_fields::overlay(admission.shape(version), object, &configuration)
                .map_err(|why| Unmade::Failed(format!("error applying patch: {why}")))
        }
        Mutation::JsonPatch(expression) => {
            let made = scope.evaluate(expression)?;
            let mut operations = Vec::new();
            for operation in made.items().into_iter().flatten() {
                if let Val::Struct(operation) = &operation {
                    operation.fields.iter().try_for_each(|(_, value)| check_names(value))?;
                }
                operations.extend(operation.tree());
            }
            let text = json::to_string(&Value::Array(operations));
            let patched = JsonPatch::parse(text.as_bytes()).and_then(|patch| patch.apply(object.clone()));
            match patched {
                Ok(patched) => strict(admission, version, patched).map_err(Unmade::Refused),
                // A patch whose test fails is not for this object.
                Err(patch::Error::TestFailed(_)) => Ok(object.clone()),
                Err(error) => Err(Unmade::Failed(format!("JSON Patch: {error}"))),
            }
        }
    }
}

/// Whether the types that an expression names are those of the fields in which
/// their values stand.
fn check_names(value: &Val<'_>) -> Result<(), String> {
    match value {
        Val::Struct(made) => made.check_names().map_err(|why| format!("type mismatch: {why}")),
        _ => Ok(()),
    }
}

/// What a JSON patch made, if it is an object of its kind without unknown fields.
fn strict(admission: &Admission<'_>, version: &Version, mut object: Value) -> Result<Value, Status> {
    let (group, name, kind) = admission.kind(version);
    let Some(schema) = facts::types().kind(group, name, kind) else { return Ok(object) };
    let problems = schema::normalize(facts::types(), schema, &mut object, Strictness::Report)
        .map_err(|error| Status::internal(error.to_string()))?;
    if problems.is_empty() {
        return Ok(object);
    }
    Err(Status::internal(format!("strict decoding error: {}", problems.join(", "))))
}

/// One refusal for all that failed: the first one's words, and a cause for each.
fn refuse(admission: &Admission<'_>, object: &Value, errors: Vec<Failed>) -> Result<(), Status> {
    let Some(first) = errors.first() else { return Ok(()) };
    let mut status = admission.forbid(object, &first.message);
    status.message.clone_from(&first.message);
    if let Some(reason) = first.reason {
        status.reason = reason;
    }
    Err(errors.iter().fold(status, |status, error| status.with_cause("", &error.message, "")))
}
