//! What is accepted without having an effect yet (design rule 13). Under
//! `corten up` a write of it is answered with a warning. This list may only shrink.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::field::Errors;
use apimachinery::{Status, Value};
use apiserver::{Companion, Context, DeleteOptions, Grace, NameRule, Orphaning, Strategy, Version};
use jiff::Timestamp;

/// Kinds that nothing acts on, and what that means.
const KINDS: &[(&str, &str, &str)] = &[
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", "admission policies are not evaluated yet"),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        "admission policies are not evaluated yet",
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "admission webhooks are not called yet",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        "admission policies are not evaluated yet",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        "admission policies are not evaluated yet",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "admission webhooks are not called yet",
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions", "custom resources are not served yet"),
    ("apps", "statefulsets", "no controller runs the pods of a StatefulSet yet"),
    ("autoscaling", "horizontalpodautoscalers", "nothing scales by it yet"),
    ("batch", "cronjobs", "no controller starts its Jobs yet"),
    ("certificates.k8s.io", "certificatesigningrequests", "no controller signs requests yet"),
    ("certificates.k8s.io", "podcertificaterequests", "no controller signs requests yet"),
    ("networking.k8s.io", "ingresses", "no controller serves ingresses yet"),
    ("networking.k8s.io", "networkpolicies", "the policy is not enforced yet"),
    ("", "persistentvolumeclaims", "no controller binds or provisions volumes yet"),
    ("", "replicationcontrollers", "no controller runs its pods yet"),
    ("resource.k8s.io", "resourceclaims", "devices are not allocated yet"),
    ("storagemigration.k8s.io", "storageversionmigrations", "nothing migrates yet"),
];

/// Fields of pods without an effect.
const POD_FIELDS: &[(&[&str], &str)] = &[
    (&["spec", "runtimeClassName"], "every pod runs by the embedded runtime"),
    (&["spec", "resourceClaims"], "devices are not allocated yet"),
];

/// `strategy`, with warnings where the resource is in the lists.
pub(crate) fn warning(group: &str, resource: &str, strategy: Arc<dyn Strategy>) -> Arc<dyn Strategy> {
    let kind = KINDS.iter().find(|(of, name, _)| *of == group && *name == resource);
    let fields: &'static [_] = if (group, resource) == ("", "pods") { POD_FIELDS } else { &[] };
    if kind.is_none() && fields.is_empty() {
        return strategy;
    }
    Arc::new(Warning { inner: strategy, kind: kind.map(|(_, _, why)| *why), fields })
}

/// What Corten does not act on, for documentation: `resource.group: why`.
pub fn list() -> Vec<String> {
    KINDS
        .iter()
        .map(|(group, resource, why)| {
            let dot = if group.is_empty() { "" } else { "." };
            format!("{resource}{dot}{group}: {why}")
        })
        .chain(POD_FIELDS.iter().map(|(path, why)| format!("pods {}: {why}", path.join("."))))
        .collect()
}

struct Warning {
    inner: Arc<dyn Strategy>,
    kind: Option<&'static str>,
    fields: &'static [(&'static [&'static str], &'static str)],
}

impl Warning {
    fn told(&self, kind: &str, object: &Value) -> Vec<String> {
        let whole = self.kind.map(|why| format!("{kind} has no effect here: {why}"));
        let fields = self
            .fields
            .iter()
            .filter(|(path, _)| !object.at(path).is_null())
            .map(|(path, why)| format!("{}: has no effect here: {why}", path.join(".")));
        whole.into_iter().chain(fields).collect()
    }
}

/// Everything but the warnings is the inner strategy's.
impl Strategy for Warning {
    fn warnings(&self, context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = self.inner.warnings(context, object, old);
        warnings.extend(self.told(&context.definition.kind, object));
        warnings
    }

    fn default(&self, version: &str, object: &mut Value) {
        self.inner.default(version, object);
    }

    fn name_rule(&self) -> NameRule {
        self.inner.name_rule()
    }

    fn has_generation(&self) -> bool {
        self.inner.has_generation()
    }

    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        self.inner.changes_generation(object, old)
    }

    fn prepare_create(&self, context: &Context<'_>, object: &mut Value) {
        self.inner.prepare_create(context, object);
    }

    fn prepare_update(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        self.inner.prepare_update(context, object, old);
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        self.inner.validate_create(context, object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        self.inner.validate_update(context, object, old)
    }

    fn prepare_status(&self, context: &Context<'_>, object: &mut Value, old: &Value) {
        self.inner.prepare_status(context, object, old);
    }

    fn validate_status(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        self.inner.validate_status(context, object, old)
    }

    fn allocate(
        &self,
        context: &Context<'_>,
        object: &mut Value,
        old: Option<&Value>,
        companions: &mut Vec<Companion>,
    ) -> Result<(), Status> {
        self.inner.allocate(context, object, old, companions)
    }

    fn creates_on_update(&self) -> bool {
        self.inner.creates_on_update()
    }

    fn allows_unconditional_update(&self) -> bool {
        self.inner.allows_unconditional_update()
    }

    fn grace(&self, context: &Context<'_>, object: &Value, options: &DeleteOptions) -> Grace {
        self.inner.grace(context, object, options)
    }

    fn mark_deleted(&self, context: &Context<'_>, object: &mut Value) {
        self.inner.mark_deleted(context, object);
    }

    fn is_held(&self, object: &Value) -> bool {
        self.inner.is_held(object)
    }

    fn may_delete(&self, context: &Context<'_>, object: &Value) -> Result<(), Status> {
        self.inner.may_delete(context, object)
    }

    fn orphaning(&self) -> Orphaning {
        self.inner.orphaning()
    }

    fn returns_deleted(&self) -> bool {
        self.inner.returns_deleted()
    }

    fn time_to_live(&self, object: &Value) -> Option<Duration> {
        self.inner.time_to_live(object)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        self.inner.reset_fields()
    }

    fn cells(&self, version: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        self.inner.cells(version, object, now)
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;
    use apiserver::Plain;

    use super::*;

    #[test]
    fn kinds_and_fields_are_told() {
        let policy =
            Warning { inner: Arc::new(Plain), kind: Some("the policy is not enforced yet"), fields: &[] };
        assert_eq!(
            policy.told("NetworkPolicy", &value!({})),
            ["NetworkPolicy has no effect here: the policy is not enforced yet"]
        );
        let pod = Warning { inner: Arc::new(Plain), kind: None, fields: POD_FIELDS };
        assert!(pod.told("Pod", &value!({"spec": {}})).is_empty());
        assert_eq!(pod.told("Pod", &value!({"spec": {"runtimeClassName": "kata"}})).len(), 1);
    }

    #[test]
    fn every_listed_kind_is_served() {
        for (group, resource, _) in KINDS {
            assert!(
                api::facts::discovery().iter().any(|fact| fact.group == *group && fact.resource == *resource),
                "{resource}.{group}"
            );
        }
    }
}
