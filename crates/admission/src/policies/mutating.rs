//! MutatingAdmissionPolicy: changes objects by expressions that make apply
//! configurations or JSON patches.

use std::sync::Arc;

use api::facts;
use apimachinery::patch::{self, json::Patch as JsonPatch};
use apimachinery::schema::{self, Strictness};
use apimachinery::{Status, Value, json, managed_fields};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes, Operation, Version};
use cel::Val;
use tokio::time::Instant;

use super::asker::Asker;
use super::compiled::{Binding, Expression, Kind, Policies, Policy};
use super::environment::Environments;
use super::evaluate::{BUDGET, ErrorType, Failed, Inputs, Scope};
use super::parameters;
use crate::matching::{is_exempt, unconverted};
use crate::metrics::{ConditionMetrics, Conditional, MutatingMetrics};

/// See the module.
pub(crate) struct MutatingAdmissionPolicy {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
    pub metrics: MutatingMetrics,
    pub conditions: ConditionMetrics,
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
        matches!(admission.operation, Operation::Create | Operation::Update | Operation::Connect)
            && !is_exempt(admission)
            && admission.view.derived::<Policies<Mutating>>().concern(admission)
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, notes: &mut Notes) -> Result<(), Status> {
        let index = admission.view.derived::<Policies<Mutating>>();
        let (invocations, mut failures) = invocations(admission, object, &index);
        if !invocations.is_empty() {
            let plugin = self.name();
            notes.reinvocation.begins(plugin, object);
            let mut any_made = false;
            for invocation in &invocations {
                any_made |= self.invoke(admission, invocation, object, notes, &mut failures)?;
            }
            if any_made {
                notes.reinvocation.changes(plugin);
                admission.prune(object)?;
            }
            notes.reinvocation.ends(plugin, object);
        }
        refuse(admission, object, failures)
    }
}

/// One run of a policy: a binding of it, and one of the binding's parameters.
struct Invocation<'a> {
    policy: &'a Policy<Mutating>,
    binding: &'a Binding,
    version: &'a Version,
    params: Value,
}

impl Invocation<'_> {
    /// Unique among all.
    fn key(&self) -> String {
        let metadata = &self.params["metadata"];
        let (namespace, name) = (metadata["namespace"].text(), metadata["name"].text());
        format!("{}/{}/{namespace}/{name}", self.policy.name, self.binding.name)
    }
}

/// Why a mutation was not made, and the reason of the refusal where that is not
/// just that it is forbidden.
struct Refusal {
    message: String,
    reason: Option<&'static str>,
}

impl Refusal {
    fn of(policy: &Policy<Mutating>, binding: &Binding, why: &str, reason: Option<&'static str>) -> Self {
        let message =
            format!("policy '{}' with binding '{}' denied request: {why}", policy.name, binding.name);
        Self { message, reason }
    }
}

/// What runs for the write, as it was before any of it ran; and what is wrong
/// with bindings, of policies whose failures count.
fn invocations<'a>(
    admission: &'a Admission<'_>,
    object: &Value,
    index: &'a Policies<Mutating>,
) -> (Vec<Invocation<'a>>, Vec<Refusal>) {
    let (mut invocations, mut failures) = (Vec::new(), Vec::new());
    for policy in index.policies.iter().filter(|policy| policy.matcher.concerns(admission)) {
        let Some(version) = policy.matcher.matches(admission, object) else { continue };
        for binding in &policy.bindings {
            if binding.matcher.as_ref().is_some_and(|matcher| matcher.matches(admission, object).is_none()) {
                continue;
            }
            match parameters::of(admission, policy.param_kind.as_ref(), &binding.param_ref) {
                Ok(params) => {
                    let of = |params| Invocation { policy, binding, version, params };
                    invocations.extend(params.into_iter().map(of));
                }
                Err(why) if policy.fails => {
                    let why = format!("failed to configure binding: {why}");
                    failures.push(Refusal::of(policy, binding, &why, None));
                }
                Err(_) => {}
            }
        }
    }
    (invocations, failures)
}

impl MutatingAdmissionPolicy {
    /// Makes the mutations of one policy. One that fails changes nothing, and the
    /// others are made all the same. Whether any was made.
    ///
    /// # Errors
    /// What refuses the write whatever the policy says of failures.
    fn invoke(
        &self,
        admission: &Admission<'_>,
        invocation: &Invocation<'_>,
        object: &mut Value,
        notes: &mut Notes,
        failures: &mut Vec<Refusal>,
    ) -> Result<bool, Status> {
        let Invocation { policy, binding, version, .. } = invocation;
        let mut fail = |why: &str| {
            if policy.fails {
                failures.push(Refusal::of(policy, binding, why, Some("Invalid")));
            }
        };
        let asker = Asker::new(&self.authorizers, admission);
        let mut inputs = Inputs::of(admission, version, object).map_err(unconverted)?;
        inputs.params = invocation.params.clone();
        let counted = Conditional {
            name: &policy.name,
            kind: "policy",
            sort: "validate",
            operation: admission.operation,
        };
        match policy.conditions.hold(&inputs, &asker, admission, (&self.conditions, counted)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(failed) => {
                fail(&failed.why);
                return Ok(false);
            }
        }
        let (plugin, key) = (self.name(), invocation.key());
        if !notes.reinvocation.calls_for(plugin, &key) {
            return Ok(false);
        }
        let before = inputs.object.clone();
        let mut any_made = false;
        for mutation in &policy.body.0 {
            let started = Instant::now();
            let made = {
                let scope = Scope::new(&inputs, BUDGET).asking(&asker, admission);
                let scope = scope.composing(&policy.variables);
                changed(admission, version, &scope, mutation, &inputs.object)
            };
            let taken = made.and_then(|made| {
                let taken = admission.taken_back(version, made);
                taken.map_err(|status| Unmade::from(status.message))
            });
            let error = taken.as_ref().err().map(Unmade::error);
            self.metrics.mutated((&policy.name, &binding.name), error, started.elapsed());
            match taken {
                Ok(taken) => {
                    any_made = true;
                    *object = taken;
                    inputs.object = admission.served(version, object).map_err(unconverted)?;
                }
                Err(Unmade::Refused(status)) => return Err(status),
                Err(Unmade::Failed(failed)) => fail(&failed.why),
            }
        }
        notes.reinvocation.has_run(plugin, &key, inputs.object != before, policy.looks_again);
        Ok(any_made)
    }
}

/// Why a mutation was not made.
enum Unmade {
    /// As the policy says of failures.
    Failed(Failed),
    /// Whatever it says.
    Refused(Status),
}

impl Unmade {
    fn error(&self) -> ErrorType {
        match self {
            Unmade::Failed(failed) => failed.sort,
            Unmade::Refused(_) => ErrorType::Invalid,
        }
    }
}

impl From<Failed> for Unmade {
    fn from(failed: Failed) -> Self {
        Unmade::Failed(failed)
    }
}

impl From<String> for Unmade {
    fn from(why: String) -> Self {
        Unmade::Failed(Failed { why, sort: ErrorType::Invalid })
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
                .map_err(|why| Unmade::from(format!("error applying patch: {why}")))
        }
        Mutation::JsonPatch(expression) => {
            let made = scope.evaluate(expression)?;
            let mut operations = Vec::new();
            for operation in made.items().into_iter().flatten() {
                if let Val::Struct(operation) = &operation {
                    operation.fields.iter().try_for_each(|(_, value)| check_names(value))?;
                }
                let mut tree = operation.tree().unwrap_or_default();
                for member in ["op", "path"] {
                    if tree[member].is_null() {
                        tree.set(member, "");
                    }
                }
                operations.push(tree);
            }
            let text = json::to_string(&Value::Array(operations));
            let patched = JsonPatch::parse(text.as_bytes()).and_then(|patch| patch.apply(object.clone()));
            match patched {
                Ok(patched) => strict(admission, version, patched).map_err(Unmade::Refused),
                // A patch whose test fails is not for this object.
                Err(patch::Error::TestFailed(_)) => Ok(object.clone()),
                Err(error) => Err(Unmade::from(format!("JSON Patch: {error}"))),
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
fn refuse(admission: &Admission<'_>, object: &Value, failures: Vec<Refusal>) -> Result<(), Status> {
    let Some(first) = failures.first() else { return Ok(()) };
    let mut status = admission.forbid(object, &first.message);
    status.message.clone_from(&first.message);
    if let Some(reason) = first.reason {
        status.reason = reason;
    }
    Err(failures.iter().fold(status, |status, failed| status.with_cause("", &failed.message, "")))
}
