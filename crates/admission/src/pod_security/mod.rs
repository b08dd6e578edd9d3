//! PodSecurity: pods keep to the level of the Pod Security Standards that
//! their namespace's labels ask for. Refuses pods (`enforce`), warns about pods
//! and what workloads would make (`warn`), notes both for the audit log
//! (`audit`), and checks the labels themselves. Changes nothing. Nobody is
//! exempt, as in upstream's default configuration.

mod checks;
mod namespace;
mod policy;

use api::facts;
use apimachinery::{Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};
use serve::families::Families;

use checks::{PodView, Violation};
use policy::{LevelVersion, Policy};

use crate::metrics::{Evaluation, PodSecurityMetrics};

/// The audit annotations that the plugin leaves.
const ENFORCED: &str = "pod-security.kubernetes.io/enforce-policy";
const VIOLATIONS: &str = "pod-security.kubernetes.io/audit-violations";
const ERROR: &str = "pod-security.kubernetes.io/error";

/// The mode that refuses.
const ENFORCE: &str = "enforce";

/// Subresources of pods that cannot change what is looked at here.
const IGNORED: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// Resources that hold a pod template, and where.
const TEMPLATES: [(&str, &str, &[&str]); 8] = [
    ("", "replicationcontrollers", &["spec", "template"]),
    ("", "podtemplates", &["template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
];

/// See the module.
pub(crate) struct PodSecurity {
    metrics: PodSecurityMetrics,
    /// The minor version of this API.
    newest: u32,
}

impl AdmissionPlugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        let definition = admission.definition;
        matches!(admission.operation, Operation::Create | Operation::Update)
            && match (&*definition.group, &*definition.resource) {
                ("", "pods") => !IGNORED.contains(&admission.subresource),
                ("", "namespaces") => admission.subresource.is_empty(),
                (group, resource) => {
                    admission.subresource.is_empty() && template_of(group, resource).is_some()
                }
            }
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, notes: &mut Notes) -> Result<(), Status> {
        let definition = admission.definition;
        match (&*definition.group, &*definition.resource) {
            ("", "namespaces") => namespace::validate(admission, object, notes),
            ("", "pods") => self.validate_pod(admission, object, notes),
            (group, resource) => {
                let template = template_of(group, resource).map(|path| object.at(path));
                if let Some(template) = template.filter(|template| !template.is_null()) {
                    self.validate_template(admission, template, notes);
                }
                Ok(())
            }
        }
    }
}

impl PodSecurity {
    pub fn new(families: &Families) -> Self {
        let newest = facts::version()["minor"].text().parse().unwrap_or(u32::MAX);
        Self { metrics: PodSecurityMetrics::new(families), newest }
    }

    fn validate_pod(&self, admission: &Admission<'_>, pod: &Value, notes: &mut Notes) -> Result<(), Status> {
        let Some(namespace) = admission.view.get("", "namespaces", "", admission.namespace) else {
            return Err(Status::internal(format!(
                "failed to lookup namespace {:?}: namespace {:?} not found",
                admission.namespace, admission.namespace
            )));
        };
        let (policy, errors) = Policy::of(|label| namespace.label(label));
        if errors.is_empty() && policy.is_privileged() {
            self.count(admission, ENFORCE, policy.enforce, true);
            return Ok(());
        }
        if admission.operation == Operation::Update
            && admission.old.is_some_and(|old| !is_significant(pod, old))
        {
            return Ok(());
        }
        note_errors(&errors, notes);
        notes.audit.push((ENFORCED.into(), policy.enforce.to_string()));
        let pod_view = PodView::of(pod);
        self.audit(admission, policy.audit, pod_view, notes);
        let violations = self.evaluate(admission, ENFORCE, policy.enforce, pod_view);
        if !violations.is_empty() {
            let why = format!("violates PodSecurity \"{}\": {}", policy.enforce, details(&violations));
            return Err(admission.forbid(pod, why));
        }
        self.warn(admission, policy.warn, pod_view, notes);
        Ok(())
    }

    /// Templates are never refused: the pods made of them are.
    fn validate_template(&self, admission: &Admission<'_>, template: &Value, notes: &mut Notes) {
        let Some(namespace) = admission.view.get("", "namespaces", "", admission.namespace) else { return };
        let (policy, errors) = Policy::of(|label| namespace.label(label));
        note_errors(&errors, notes);
        let pod = PodView::of(template);
        self.audit(admission, policy.audit, pod, notes);
        self.warn(admission, policy.warn, pod, notes);
    }

    fn audit(&self, admission: &Admission<'_>, level: LevelVersion, pod: PodView<'_>, notes: &mut Notes) {
        let violations = self.evaluate(admission, "audit", level, pod);
        notes.audit.extend(would_violate(level, &violations).map(|text| (VIOLATIONS.into(), text)));
    }

    fn warn(&self, admission: &Admission<'_>, level: LevelVersion, pod: PodView<'_>, notes: &mut Notes) {
        let violations = self.evaluate(admission, "warn", level, pod);
        notes.warnings.extend(would_violate(level, &violations));
    }

    fn evaluate(
        &self,
        admission: &Admission<'_>,
        mode: &'static str,
        policy: LevelVersion,
        pod: PodView<'_>,
    ) -> Vec<Violation> {
        let violations = checks::evaluate(policy, pod);
        // Audits and warnings count where they have something to tell.
        if mode == ENFORCE || !violations.is_empty() {
            self.count(admission, mode, policy, violations.is_empty());
        }
        violations
    }

    fn count(&self, admission: &Admission<'_>, mode: &'static str, policy: LevelVersion, allowed: bool) {
        let (level, version) = (policy.level.as_str(), policy.label(self.newest));
        self.metrics.evaluated(admission, Evaluation { allowed, mode, level, version: &version });
    }
}

fn template_of(group: &str, resource: &str) -> Option<&'static [&'static str]> {
    TEMPLATES.iter().find(|(of, plural, _)| *of == group && *plural == resource).map(|(_, _, path)| *path)
}

fn note_errors(errors: &policy::LabelErrors, notes: &mut Notes) {
    if !errors.is_empty() {
        notes.audit.push((ERROR.into(), format!("Failed to parse policy: {errors}")));
    }
}

fn would_violate(level: LevelVersion, violations: &[Violation]) -> Option<String> {
    (!violations.is_empty())
        .then(|| format!("would violate PodSecurity \"{level}\": {}", details(violations)))
}

/// `host namespaces (hostPID=true), privileged (container "c" must …)`.
fn details(violations: &[Violation]) -> String {
    let each: Vec<String> =
        violations.iter().map(|violation| format!("{} ({})", violation.reason, violation.detail)).collect();
    each.join(", ")
}

/// Whether an update changes anything that the checks could mind: containers
/// that came, and images.
fn is_significant(pod: &Value, old: &Value) -> bool {
    const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let differs = |container: &Value, before: &Value| {
        let key = format!("{SECCOMP}{}", container["name"].text());
        container["image"] != before["image"]
            || pod["metadata"]["annotations"][key.as_str()] != old["metadata"]["annotations"][key.as_str()]
    };
    let fixed = ["containers", "initContainers"].into_iter().any(|list| {
        let (now, before) = (pod["spec"][list].items(), old["spec"][list].items());
        now.len() != before.len() || now.iter().zip(before).any(|(now, before)| differs(now, before))
    });
    fixed
        || pod["spec"]["ephemeralContainers"].items().iter().any(|container| {
            let before = old["spec"]["ephemeralContainers"].items().iter();
            let mut before = before.filter(|before| before["name"] == container["name"]);
            before.next().is_none_or(|before| differs(container, before))
        })
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::policy::Level;
    use super::*;

    #[test]
    fn only_containers_and_images_count_in_an_update() {
        let old = value!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
        let cases = [
            (value!({"spec": {"containers": [{"name": "c", "image": "i:1"}]}}), false),
            (value!({"spec": {"containers": [{"name": "c", "image": "i:2"}]}}), true),
            (
                value!({"spec": {"containers": [{"name": "c", "image": "i:1"}], "activeDeadlineSeconds": 3}}),
                false,
            ),
            (
                value!({"spec": {"containers": [{"name": "c", "image": "i:1"}],
                                 "ephemeralContainers": [{"name": "d", "image": "i:1"}]}}),
                true,
            ),
        ];
        for (pod, significant) in cases {
            assert_eq!(is_significant(&pod, &old), significant, "{pod:?}");
        }
    }

    #[test]
    fn every_template_is_where_the_table_says() {
        for (group, resource, path) in TEMPLATES {
            assert_eq!(template_of(group, resource), Some(path));
        }
        assert_eq!(template_of("", "services"), None);
    }

    #[test]
    fn a_relaxed_level_is_no_violation() {
        let pod = value!({"spec": {"containers": [{"name": "c", "securityContext": {"privileged": true}}]}});
        let told = |level| {
            let at = LevelVersion { level, ..LevelVersion::PRIVILEGED };
            would_violate(at, &checks::evaluate(at, PodView::of(&pod)))
        };
        assert_eq!(told(Level::Privileged), None);
        assert_eq!(
            told(Level::Baseline).as_deref(),
            Some(
                "would violate PodSecurity \"baseline:latest\": privileged (container \"c\" must not set \
                 securityContext.privileged=true)"
            )
        );
    }
}
