//! What policies, webhooks and Pod Security count, under upstream's names. Counts only: what
//! happens to a write is decided elsewhere.

use std::time::Duration;

use apiserver::{Admission, Operation};
use serve::families::{Counter, Description, Families, Histogram};

use crate::policies::ErrorType;

/// Upper bounds of upstream's durations, in seconds.
const WEBHOOK_SECONDS: [f64; 8] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
const CONDITION_SECONDS: [f64; 7] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25];
const POLICY_SECONDS: [f64; 5] = [0.000_000_5, 0.001, 0.01, 0.1, 1.0];

/// Codes above are counted as this one, so that a webhook cannot make series.
const MAX_CODE: u16 = 600;

/// Of calls to webhooks.
#[derive(Clone)]
pub(crate) struct WebhookMetrics {
    seconds: Histogram,
    requests: Counter,
    rejections: Counter,
    open: Counter,
}

/// What became of a call to a webhook, with HTTP codes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Passed,
    Refused(u16),
    /// No answer that means something, and the write is refused for it.
    FailedClosed(u16),
    /// The same, and the write goes on.
    FailedOpen(u16),
    /// The fault is on this side.
    Internal,
}

impl WebhookMetrics {
    pub fn new(families: &Families) -> Self {
        let seconds = Description {
            name: "apiserver_admission_webhook_admission_duration_seconds",
            help: "[STABLE] Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
            labels: &["name", "operation", "rejected", "type"],
        };
        let requests = Description {
            name: "apiserver_admission_webhook_request_total",
            help: "[ALPHA] Admission webhook request total, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify whether the request was rejected or not and an HTTP status code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
            labels: &["code", "name", "operation", "rejected", "type"],
        };
        let rejections = Description {
            name: "apiserver_admission_webhook_rejection_count",
            help: "[ALPHA] Admission webhook rejection count, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
            labels: &["error_type", "name", "operation", "rejection_code", "type"],
        };
        let open = Description {
            name: "apiserver_admission_webhook_fail_open_count",
            help: "[ALPHA] Admission webhook fail open count, identified by name and broken out for each admission type (validating or admit).",
            labels: &["name", "type"],
        };
        Self {
            seconds: families.histogram(seconds, WEBHOOK_SECONDS.to_vec()),
            requests: families.counter(requests),
            rejections: families.counter(rejections),
            open: families.counter(open),
        }
    }

    /// A call to the webhook `name`, of the sort `sort` (`admit` or `validating`).
    pub fn called(&self, name: &str, sort: &str, operation: Operation, call: Call, took: Duration) {
        let operation = operation.as_str();
        let (code, error) = match call {
            Call::Passed => (200, None),
            Call::Refused(code) => (code, Some("no_error")),
            Call::FailedClosed(code) => (code, Some("calling_webhook_error")),
            Call::FailedOpen(code) => (code, None),
            Call::Internal => (0, Some("apiserver_internal_error")),
        };
        let code = code.min(MAX_CODE).to_string();
        let rejected = if error.is_some() { "true" } else { "false" };
        if let Some(error) = error {
            self.rejections.increase(&[error, name, operation, &code, sort]);
        }
        if let Call::FailedOpen(_) = call {
            self.open.increase(&[name, sort]);
        }
        self.requests.increase(&[&code, name, operation, rejected, sort]);
        self.seconds.observe(&[name, operation, rejected, sort], took.as_secs_f64());
    }
}

/// Of the conditions under which webhooks are asked and policies looked at.
#[derive(Clone)]
pub(crate) struct ConditionMetrics {
    errors: Counter,
    exclusions: Counter,
    seconds: Histogram,
}

/// Whose conditions, as the labels say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditional<'a> {
    pub name: &'a str,
    /// `webhook` or `policy`.
    pub kind: &'static str,
    /// `admit`, `validating` or `validate` of webhooks; `validate` of every policy.
    pub sort: &'static str,
    pub operation: Operation,
}

impl ConditionMetrics {
    pub fn new(families: &Families) -> Self {
        const LABELS: &[&str] = &["kind", "name", "operation", "type"];
        let errors = Description {
            name: "apiserver_admission_match_condition_evaluation_errors_total",
            help: "[ALPHA] Admission match condition evaluation errors count, identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and admission type (validate or admit).",
            labels: LABELS,
        };
        let exclusions = Description {
            name: "apiserver_admission_match_condition_exclusions_total",
            help: "[ALPHA] Admission match condition evaluation exclusions count, identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and admission type (validate or admit).",
            labels: LABELS,
        };
        let seconds = Description {
            name: "apiserver_admission_match_condition_evaluation_seconds",
            help: "[ALPHA] Admission match condition evaluation time in seconds, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type (validate or admit).",
            labels: LABELS,
        };
        Self {
            errors: families.counter(errors),
            exclusions: families.counter(exclusions),
            seconds: families.histogram(seconds, CONDITION_SECONDS.to_vec()),
        }
    }

    /// Conditions of which `errors` failed and that do not all hold.
    pub fn evaluated(&self, of: Conditional<'_>, errors: usize, took: Duration) {
        if errors > 0 {
            self.errors.add(&of.labels(), errors as f64);
        }
        self.seconds.observe(&of.labels(), took.as_secs_f64());
    }

    /// A webhook that is not asked for its conditions.
    pub fn excluded(&self, of: Conditional<'_>) {
        self.exclusions.increase(&of.labels());
    }
}

impl<'a> Conditional<'a> {
    fn labels(&self) -> [&'a str; 4] {
        [self.kind, self.name, self.operation.as_str(), self.sort]
    }
}

/// Of the checks of policies that validate.
#[derive(Clone)]
pub(crate) struct ValidatingMetrics(Checks);

/// Of the mutations of policies that mutate.
#[derive(Clone)]
pub(crate) struct MutatingMetrics(Checks);

#[derive(Clone)]
struct Checks {
    total: Counter,
    seconds: Histogram,
}

impl Checks {
    fn new(families: &Families, total: Description, seconds: Description) -> Self {
        let seconds = families.histogram(seconds, POLICY_SECONDS.to_vec());
        Self { total: families.counter(total), seconds }
    }

    fn count(&self, labels: &[&str], took: Duration) {
        self.total.increase(labels);
        self.seconds.observe(labels, took.as_secs_f64());
    }
}

/// A policy and its binding.
pub(crate) type Bound<'a> = (&'a str, &'a str);

impl ValidatingMetrics {
    pub fn new(families: &Families) -> Self {
        const LABELS: &[&str] = &["enforcement_action", "error_type", "policy", "policy_binding"];
        let total = Description {
            name: "apiserver_validating_admission_policy_check_total",
            help: "[BETA] Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.",
            labels: LABELS,
        };
        let seconds = Description {
            name: "apiserver_validating_admission_policy_check_duration_seconds",
            help: "[BETA] Validation admission latency for individual validation expressions in seconds, labeled by policy and further including binding and enforcement action taken.",
            labels: LABELS,
        };
        Self(Checks::new(families, total, seconds))
    }

    /// An expression did not hold or failed, which led to `action`: `allow`,
    /// `deny`, `audit` or `warn`.
    pub fn checked(&self, (policy, binding): Bound<'_>, action: &str, error: ErrorType, took: Duration) {
        self.0.count(&[action, error.as_str(), policy, binding], took);
    }
}

impl MutatingMetrics {
    pub fn new(families: &Families) -> Self {
        const LABELS: &[&str] = &["error_type", "policy", "policy_binding"];
        let total = Description {
            name: "apiserver_mutating_admission_policy_check_total",
            help: "[ALPHA] Mutation admission policy check total, labeled by policy and further identified by binding.",
            labels: LABELS,
        };
        let seconds = Description {
            name: "apiserver_mutating_admission_policy_check_duration_seconds",
            help: "[ALPHA] Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.",
            labels: LABELS,
        };
        Self(Checks::new(families, total, seconds))
    }

    /// A mutation was made, or failed so.
    pub fn mutated(&self, (policy, binding): Bound<'_>, error: Option<ErrorType>, took: Duration) {
        let error = error.map_or("no_error", ErrorType::as_str);
        self.0.count(&[error, policy, binding], took);
    }
}

/// Of the checks of Pod Security.
#[derive(Clone)]
pub(crate) struct PodSecurityMetrics(Counter);

/// What a check of Pod Security was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation<'a> {
    pub allowed: bool,
    /// `enforce`, `audit` or `warn`.
    pub mode: &'static str,
    pub level: &'a str,
    /// `latest`, `v1.x`, or `future` for one that is newer than this API.
    pub version: &'a str,
}

impl PodSecurityMetrics {
    pub fn new(families: &Families) -> Self {
        let evaluations = families.counter(Description {
            name: "pod_security_evaluations_total",
            help: "[ALPHA] Number of policy evaluations that occurred, not counting ignored or exempt requests.",
            labels: &[
                "decision",
                "mode",
                "policy_level",
                "policy_version",
                "request_operation",
                "resource",
                "subresource",
            ],
        });
        // Told before anything happened, as upstream does.
        for operation in ["create", "update"] {
            evaluations.add(&["allow", "enforce", "privileged", "latest", operation, "pod", ""], 0.0);
        }
        Self(evaluations)
    }

    /// A pod, or what makes pods (`controller`), was checked.
    pub fn evaluated(&self, admission: &Admission<'_>, evaluation: Evaluation<'_>) {
        let Evaluation { allowed, mode, level, version } = evaluation;
        let decision = if allowed { "allow" } else { "deny" };
        let operation = if admission.operation == Operation::Create { "create" } else { "update" };
        let is_pod = *admission.definition.group == *"" && *admission.definition.resource == *"pods";
        let resource = if is_pod { "pod" } else { "controller" };
        self.0.increase(&[decision, mode, level, version, operation, resource, admission.subresource]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_what_became_of_it() {
        let took = Duration::from_millis(30);
        for (call, code, rejected, error, open) in [
            (Call::Passed, "200", "false", None, None),
            (Call::Refused(403), "403", "true", Some("no_error"), None),
            (Call::Refused(4711), "600", "true", Some("no_error"), None),
            (Call::FailedClosed(503), "503", "true", Some("calling_webhook_error"), None),
            (Call::FailedOpen(503), "503", "false", None, Some(1.0)),
            (Call::Internal, "0", "true", Some("apiserver_internal_error"), None),
        ] {
            let metrics = WebhookMetrics::new(&Families::default());
            metrics.called("h.ex.com", "admit", Operation::Update, call, took);
            let requests = [code, "h.ex.com", "UPDATE", rejected, "admit"];
            assert_eq!(metrics.requests.get(&requests), Some(1.0), "{call:?}");
            let seconds = metrics.seconds.get(&["h.ex.com", "UPDATE", rejected, "admit"]);
            assert_eq!(seconds, Some((1, 0.03)), "{call:?}");
            for kind in ["no_error", "calling_webhook_error", "apiserver_internal_error"] {
                let counted = metrics.rejections.get(&[kind, "h.ex.com", "UPDATE", code, "admit"]);
                assert_eq!(counted, (error == Some(kind)).then_some(1.0), "{call:?} {kind}");
            }
            assert_eq!(metrics.open.get(&["h.ex.com", "admit"]), open, "{call:?}");
        }
    }

    #[test]
    fn policies_are_counted_by_action_and_error() {
        let families = Families::default();
        let took = Duration::from_micros(2);
        ValidatingMetrics::new(&families).checked(("p", "b"), "warn", ErrorType::OutOfBudget, took);
        MutatingMetrics::new(&families).mutated(("p", "b"), None, took);
        let mut text = String::new();
        families.write(&mut text);
        let labels =
            "enforcement_action=\"warn\",error_type=\"out_of_budget\",policy=\"p\",policy_binding=\"b\"";
        for line in [
            "apiserver_mutating_admission_policy_check_total{error_type=\"no_error\",policy=\"p\",policy_binding=\"b\"} 1".to_owned(),
            format!("apiserver_validating_admission_policy_check_total{{{labels}}} 1"),
            format!("apiserver_validating_admission_policy_check_duration_seconds_bucket{{{labels},le=\"5e-07\"}} 0"),
            format!("apiserver_validating_admission_policy_check_duration_seconds_bucket{{{labels},le=\"0.001\"}} 1"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
