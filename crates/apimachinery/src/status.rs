//! meta/v1 Status: the only vocabulary of API errors.
//!
//! The constructors carry the words of apimachinery's `api/errors`; nothing
//! here knows HTTP beyond the code.

use crate::field;

/// An answer that is no object: mostly a refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// `Success` or `Failure`.
    pub status: &'static str,
    /// A StatusReason such as `NotFound`; "" is unknown.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Details>,
}

/// meta/v1 StatusDetails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The kind, or the resource where that is what upstream writes.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: i32,
}

/// meta/v1 StatusCause.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// A group and a resource ("deployments" in "apps"), as messages name it: `deployments.apps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupResource<'a> {
    pub group: &'a str,
    pub resource: &'a str,
}

/// A group and a kind, as messages name it: `Deployment.apps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupKind<'a> {
    pub group: &'a str,
    pub kind: &'a str,
}

macro_rules! qualified {
    ($type:ty, $member:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.$member)?;
                if !self.group.is_empty() {
                    write!(f, ".{}", self.group)?;
                }
                Ok(())
            }
        }
    };
}
qualified!(GroupResource<'_>, resource);
qualified!(GroupKind<'_>, kind);

impl Status {
    pub fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: "Failure", reason, message: message.into(), details: None }
    }

    fn about(mut self, resource: GroupResource<'_>, name: &str) -> Self {
        self.details = Some(Details {
            name: name.into(),
            group: resource.group.into(),
            kind: resource.resource.into(),
            ..Details::default()
        });
        self
    }

    pub fn not_found(resource: GroupResource<'_>, name: &str) -> Self {
        Self::failure(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    pub fn already_exists(resource: GroupResource<'_>, name: &str) -> Self {
        Self::failure(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .about(resource, name)
    }

    pub fn conflict(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        Self::failure(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"),
        )
        .about(resource, name)
    }

    pub fn forbidden(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let message = match (resource.resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::failure(403, "Forbidden", message).about(resource, name)
    }

    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", why)
    }

    pub fn internal(why: impl std::fmt::Display) -> Self {
        let why = why.to_string();
        let mut status = Self::failure(500, "InternalError", format!("Internal error occurred: {why}"));
        status.details =
            Some(Details { causes: vec![Cause { message: why, ..Cause::default() }], ..Details::default() });
        status
    }

    /// 410: the history that was asked for is gone.
    pub fn expired(why: impl Into<String>) -> Self {
        Self::failure(410, "Expired", why)
    }

    pub fn method_not_supported(resource: GroupResource<'_>, verb: &str) -> Self {
        Self::failure(
            405,
            "MethodNotAllowed",
            format!("{verb} is not supported on resources of kind \"{resource}\""),
        )
        .about(resource, "")
    }

    /// 422 with a cause for each error, in their order.
    pub fn invalid(kind: GroupKind<'_>, name: &str, errors: &field::Errors) -> Self {
        let message = format!("{kind} \"{name}\" is invalid: {errors}");
        let mut status = Self::failure(422, "Invalid", message);
        status.details = Some(Details {
            name: name.into(),
            group: kind.group.into(),
            kind: kind.kind.into(),
            causes: errors.iter().map(field::Error::cause).collect(),
            ..Details::default()
        });
        status
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
