//! What a user may do.

use std::sync::Arc;

use apimachinery::field::quote;

use crate::{UserInfo, View};

/// What is asked for (authorizer.Attributes).
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    pub user: &'a UserInfo,
    /// get, list, watch, create, update, patch, delete, deletecollection,
    /// impersonate …; for paths the lower-case HTTP method.
    pub verb: &'a str,
    /// False: only `path` and `verb` count.
    pub is_resource: bool,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// `/healthz`.
    pub path: &'a str,
    /// The selectors as the request wrote them, or "".
    pub field_selector: &'a str,
    pub label_selector: &'a str,
}

impl<'a> Action<'a> {
    /// `verb` on every object of a resource in every namespace and version: the
    /// rest is blank.
    pub fn on(user: &'a UserInfo, verb: &'a str, group: &'a str, resource: &'a str) -> Self {
        Self {
            user,
            verb,
            is_resource: true,
            group,
            version: "*",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            field_selector: "",
            label_selector: "",
        }
    }

    /// `User "x" cannot get resource "pods" in API group "" in the namespace "y"`.
    pub fn refusal(&self) -> String {
        let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let user = quote(&self.user.name);
        if !self.is_resource {
            return safe(&format!("User {user} cannot {} path {}", self.verb, quote(self.path)));
        }
        let resource = if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        };
        let (verb, group, resource) = (self.verb, quote(self.group), quote(&resource));
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", quote(self.namespace))
        };
        safe(&format!("User {user} cannot {verb} resource {resource} in API group {group} {place}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Deny,
    NoOpinion,
}

/// An authorizer's answer.
#[derive(Clone, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// For messages and reviews; may be "".
    pub reason: String,
    /// An error met on the way (a role that is missing), for reviews.
    pub error: String,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    pub fn allow(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Allow, reason: reason.into(), error: String::new() }
    }

    pub fn deny(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Deny, reason: reason.into(), error: String::new() }
    }

    pub fn no_opinion(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::NoOpinion, reason: reason.into(), error: String::new() }
    }
}

/// One source of rights. They are asked in order; the first that allows or
/// denies decides, and where none does the request is refused with their
/// reasons. Pure: reads through the view alone.
pub trait Authorizer: Send + Sync + 'static {
    fn authorize(&self, action: &Action<'_>, view: &View) -> Decision;
}

/// Whether the user may do this, by all authorizers in order.
pub fn decide(authorizers: &[Arc<dyn Authorizer>], action: &Action<'_>, view: &View) -> Decision {
    let mut reasons = Vec::new();
    let mut errors = Vec::new();
    for authorizer in authorizers {
        let decision = authorizer.authorize(action, view);
        if decision.verdict != Verdict::NoOpinion {
            return decision;
        }
        reasons.extend((!decision.reason.is_empty()).then_some(decision.reason));
        errors.extend((!decision.error.is_empty()).then_some(decision.error));
    }
    let error = if errors.len() > 1 { format!("[{}]", errors.join(", ")) } else { errors.concat() };
    Decision { verdict: Verdict::NoOpinion, reason: reasons.join("\n"), error }
}
