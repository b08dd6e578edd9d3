//! What is left to do in a namespace that ends. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The finalizer of `spec.finalizers` that this controller removes.
pub const FINALIZER: &str = "kubernetes";

/// What is left of one resource after deletion was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remaining {
    /// `pods.`, `deployments.apps`: the resource with its group.
    pub resource: String,
    pub objects: usize,
    /// Objects that each finalizer holds.
    pub finalizers: BTreeMap<String, usize>,
}

/// What was seen of a namespace.
pub struct Observed<'a> {
    pub namespace: &'a Namespace,
    pub remaining: Vec<Remaining>,
    /// Errors of deleting, one a resource.
    pub failures: Vec<String>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// All is gone: `spec.finalizers` becomes this.
    Finalize(Vec<String>),
    /// Say what is left, where that is news.
    Status(Box<NamespaceStatus>),
    /// Nobody holds it any more.
    Delete,
    /// What is left will tell when it goes.
    Wait,
}

pub fn plan(observed: &Observed<'_>) -> Action {
    let finalizers =
        observed.namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
    if finalizers.is_empty() {
        let held = observed.namespace.metadata.finalizers.as_ref().is_some_and(|held| !held.is_empty());
        return if held { Action::Wait } else { Action::Delete };
    }
    if observed.remaining.is_empty() && observed.failures.is_empty() {
        let others: Vec<_> = finalizers.iter().filter(|name| *name != FINALIZER).cloned().collect();
        return if others.len() == finalizers.len() { Action::Wait } else { Action::Finalize(others) };
    }
    let status = status(observed);
    match observed.namespace.status.as_ref() == Some(&status) {
        true => Action::Wait,
        false => Action::Status(Box::new(status)),
    }
}

fn status(observed: &Observed<'_>) -> NamespaceStatus {
    let old = observed.namespace.status.clone().unwrap_or_default();
    let mut conditions = old.conditions.unwrap_or_default();
    let mut set = |kind: &str, truth: bool, reason: &str, message: String| {
        let status = if truth { "True" } else { "False" };
        let known = conditions.iter().position(|condition| condition.type_ == kind);
        let same = known.is_some_and(|at| {
            let known = &conditions[at];
            known.status == status
                && known.reason.as_deref() == Some(reason)
                && known.message.as_deref() == Some(message.as_str())
        });
        if same {
            return;
        }
        let condition = NamespaceCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: Some(Time(observed.now)),
        };
        match known {
            Some(at) => conditions[at] = condition,
            None => conditions.push(condition),
        }
    };
    let discovered = "All resources successfully discovered".to_owned();
    set("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", discovered);
    let parsed = "All legacy kube types successfully parsed".to_owned();
    set("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", parsed);
    match observed.failures.as_slice() {
        [] => {
            let message = "All content successfully deleted, may be waiting on finalization".to_owned();
            set("NamespaceDeletionContentFailure", false, "ContentDeleted", message);
        }
        failures => {
            let count = failures.len();
            let message =
                format!("Failed to delete all resource types, {count} remaining: {}", failures.join(", "));
            set("NamespaceDeletionContentFailure", true, "ContentDeletionFailed", message);
        }
    }
    let left: Vec<_> = observed
        .remaining
        .iter()
        .map(|left| format!("{} has {} resource instances", left.resource, left.objects))
        .collect();
    match left.is_empty() {
        true => {
            let message = "All content successfully removed".to_owned();
            set("NamespaceContentRemaining", false, "ContentRemoved", message);
        }
        false => {
            let message = format!("Some resources are remaining: {}", left.join(", "));
            set("NamespaceContentRemaining", true, "SomeResourcesRemain", message);
        }
    }
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in observed.remaining.iter().flat_map(|left| &left.finalizers) {
        *held.entry(finalizer).or_default() += count;
    }
    match held.is_empty() {
        true => {
            let message = "All content-preserving finalizers finished".to_owned();
            set("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", message);
        }
        false => {
            let held: Vec<_> =
                held.iter().map(|(name, count)| format!("{name} in {count} resource instances")).collect();
            let message =
                format!("Some content in the namespace has finalizers remaining: {}", held.join(", "));
            set("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", message);
        }
    }
    NamespaceStatus { phase: Some("Terminating".into()), conditions: Some(conditions) }
}
