//! Webhook configurations, read: an index of the view, made again when one of
//! them changes.

use std::marker::PhantomData;

use apimachinery::Value;
use apiserver::{Admission, Derived, View};

use crate::matching::Matcher;
use crate::policies::{Conditions, hook_conditions};

const DEFAULT_TIMEOUT: u64 = 10;

/// One webhook.
pub(super) struct Hook {
    /// The configuration that it is of.
    configuration: String,
    pub name: String,
    pub matcher: Matcher,
    pub conditions: Conditions,
    /// `clientConfig`.
    pub client: Value,
    pub timeout_seconds: u64,
    /// Whether a failed call refuses the write.
    pub fails: bool,
    pub may_dry_run: bool,
    pub looks_again: bool,
    /// Of AdmissionReview: `v1` or `v1beta1`.
    pub review_version: &'static str,
}

impl Hook {
    fn read(configuration: &str, hook: &Value) -> Self {
        let versions = hook["admissionReviewVersions"].items();
        let supported = versions.iter().find_map(|version| match version.text() {
            "v1" => Some("v1"),
            "v1beta1" => Some("v1beta1"),
            _ => None,
        });
        let timeout = hook["timeoutSeconds"].as_i64().and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            configuration: configuration.to_owned(),
            name: hook["name"].text().to_owned(),
            matcher: Matcher::of(hook, "rules"),
            conditions: Conditions::compile(&hook["matchConditions"], &hook_conditions()),
            client: hook["clientConfig"].clone(),
            timeout_seconds: timeout.unwrap_or(DEFAULT_TIMEOUT),
            fails: hook["failurePolicy"].text() != "Ignore",
            may_dry_run: matches!(hook["sideEffects"].text(), "None" | "NoneOnDryRun"),
            looks_again: hook["reinvocationPolicy"].text() == "IfNeeded",
            review_version: supported.unwrap_or("v1"),
        }
    }

    /// Unique among all webhooks.
    pub fn key(&self) -> String {
        format!("webhook/{}/{}", self.configuration, self.name)
    }
}

/// Where a sort of webhooks is configured, and what metrics call it.
pub(super) trait Sort: Send + Sync + 'static {
    const SOURCES: &'static [(&'static str, &'static str)];
    const LABEL: &'static str;
    /// The same where a webhook is left out for its conditions.
    const EXCLUDED: &'static str;
}

pub(super) struct Mutating;
pub(super) struct Validating;

impl Sort for Mutating {
    const SOURCES: &'static [(&'static str, &'static str)] =
        &[("admissionregistration.k8s.io", "mutatingwebhookconfigurations")];
    const LABEL: &'static str = "admit";
    const EXCLUDED: &'static str = "admit";
}

impl Sort for Validating {
    const SOURCES: &'static [(&'static str, &'static str)] =
        &[("admissionregistration.k8s.io", "validatingwebhookconfigurations")];
    const LABEL: &'static str = "validating";
    const EXCLUDED: &'static str = "validate";
}

/// All webhooks of a sort: by their configurations' names, then as written.
pub(super) struct Hooks<S> {
    hooks: Vec<Hook>,
    sort: PhantomData<S>,
}

impl<S: Sort> Hooks<S> {
    pub fn concern(&self, admission: &Admission<'_>) -> bool {
        self.hooks.iter().any(|hook| hook.matcher.concerns(admission))
    }

    /// Those whose rules name the resource.
    pub fn of<'a>(&'a self, admission: &'a Admission<'_>) -> impl Iterator<Item = &'a Hook> {
        self.hooks.iter().filter(|hook| hook.matcher.concerns(admission))
    }
}

impl<S: Sort> Derived for Hooks<S> {
    const SOURCES: &'static [(&'static str, &'static str)] = S::SOURCES;

    fn derive(view: &View) -> Self {
        let (group, plural) = S::SOURCES[0];
        let hooks = view
            .list(group, plural, "")
            .flat_map(|stored| {
                let configuration = stored.tree();
                let read = |hook: &Value| Hook::read(stored.name(), hook);
                configuration["webhooks"].items().iter().map(read).collect::<Vec<_>>()
            })
            .collect();
        Self { hooks, sort: PhantomData }
    }
}
