//! What a user may do.

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
