//! MutatingAdmissionPolicy: changes objects by expressions that make apply
//! configurations or JSON patches.

use std::sync::Arc;

use api::facts;
use apimachinery::patch::{self, json::Patch as JsonPatch};
use apimachinery::{Status, Value, json};
use apiserver::{Admission, AdmissionPlugin, Authorizer, Notes, Operation, Version};

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
                if let Err(why) = self.bound(admission, policy, binding, version, object) {
                    if policy.fails {
                        return Err(refuse(admission, &before, policy, binding, &why));
                    }
                    // By half is not at all.
                    *object = before;
                    continue;
                }
                notes.reinvocation.has_run(&call, *object != before, policy.looks_again);
            }
        }
        Ok(())
    }
}

impl MutatingAdmissionPolicy {
    /// Runs one binding of a policy, for each of its parameters.
    fn bound(
        &self,
        admission: &Admission<'_>,
        policy: &Policy<Mutating>,
        binding: &Binding,
        version: &Version,
        object: &mut Value,
    ) -> Result<(), String> {
        let params = parameters::of(admission, policy.param_kind.as_ref(), &binding.param_ref)
            .map_err(|why| format!("failed to configure binding: {why}"))?;
        let asker = Asker::new(&self.authorizers, admission);
        let told = |status: Status| unconverted(status).message;
        for params in params {
            let mut inputs = Inputs::of(admission, version, object).map_err(told)?;
            inputs.params = params;
            match policy.conditions.hold(&Scope::new(&inputs, &asker, admission)) {
                Conditioned::Matches => {}
                Conditioned::Passes => continue,
                Conditioned::Failed(why) => return Err(why),
            }
            for mutation in &policy.body.0 {
                let made = {
                    let mut scope = Scope::new(&inputs, &asker, admission);
                    scope.compose(&policy.variables);
                    changed(admission, version, &scope, mutation, &inputs.object)?
                };
                *object = admission.taken_back(version, made).map_err(told)?;
                inputs.object = admission.served(version, object).map_err(told)?;
            }
        }
        Ok(())
    }
}

/// The object with one mutation.
fn changed<'a>(
    admission: &Admission<'_>,
    version: &Version,
    scope: &Scope<'a>,
    mutation: &'a Mutation,
    object: &Value,
) -> Result<Value, String> {
    match mutation {
        Mutation::Apply(expression) => {
            let made = scope.evaluate(expression)?.tree().unwrap_or_default();
            apply(admission, version, object, made)
        }
        Mutation::JsonPatch(expression) => {
            let made = scope.evaluate(expression)?;
            let operations = made
                .items()
                .map(|items| items.iter().filter_map(cel::Val::tree).collect())
                .unwrap_or_default();
            let text = json::to_string(&Value::Array(operations));
            let told = |error: patch::Error| format!("JSON Patch: {error}");
            JsonPatch::parse(text.as_bytes()).and_then(|patch| patch.apply(object.clone())).map_err(told)
        }
    }
}

/// The fields that no configuration may set, for they say what the object is.
const IDENTITY: [&[&str]; 5] =
    [&["apiVersion"], &["kind"], &["metadata", "name"], &["metadata", "namespace"], &["metadata", "uid"]];

/// Merges a configuration into the object: lists with keys by their items.
fn apply(
    admission: &Admission<'_>,
    version: &Version,
    object: &Value,
    configuration: Value,
) -> Result<Value, String> {
    for path in IDENTITY {
        if !configuration.at(path).is_null() && configuration.at(path) != object.at(path) {
            return Err(format!("ApplyConfiguration: may not set {}", path.join(".")));
        }
    }
    let (group, name, kind) = admission.kind(version);
    match facts::types().kind(group, name, kind) {
        Some(schema) => patch::strategic::apply(facts::types(), schema, object.clone(), configuration)
            .map_err(|error| format!("ApplyConfiguration: {error}")),
        None => {
            let mut merged = object.clone();
            patch::merge::apply(&mut merged, configuration);
            Ok(merged)
        }
    }
}

fn refuse<K>(
    admission: &Admission<'_>,
    object: &Value,
    policy: &Policy<K>,
    binding: &Binding,
    why: &str,
) -> Status {
    let message = format!("policy '{}' with binding '{}' denied request: {why}", policy.name, binding.name);
    let mut status = admission.forbid(object, &message).with_cause("", &message, "");
    status.message = message;
    status.reason = "Invalid";
    status
}
