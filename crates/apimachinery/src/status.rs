//! meta/v1 Status: the only vocabulary of API errors.
//!
//! The constructors carry the words of apimachinery's `api/errors`; nothing
//! here knows HTTP beyond the code.

use crate::field;
use crate::{Key, Object, Value};

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
    /// `metadata.continue`: how a list whose token expired may go on all the same.
    pub continue_token: Option<Box<str>>,
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
        Self { code, status: "Failure", reason, message: message.into(), details: None, continue_token: None }
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

    /// What storage answers for an object that it has not: 404, or 400 where
    /// `name` can be no object's.
    pub fn not_stored(resource: GroupResource<'_>, name: &str) -> Self {
        if name.is_empty() {
            return Self::bad_request("Name parameter required.");
        }
        let why = crate::validation::path_segment_name(name);
        if why.is_empty() {
            return Self::not_found(resource, name);
        }
        Self::bad_request(format!("Name parameter invalid: {}: {}", field::quote(name), why.join(";")))
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

    /// What another server answered without a Status of its own, `text`.
    pub fn of_response(code: u16, text: &str, resource: GroupResource<'_>, name: &str) -> Self {
        let more = |why: &str| format!("{why} ( {resource} {name})");
        let (reason, message) = match code {
            401 => ("Unauthorized", more("the server has asked for the client to provide credentials")),
            403 => ("Forbidden", more(text)),
            404 => ("NotFound", more("the server could not find the requested resource")),
            405 => {
                ("MethodNotAllowed", more("the server does not allow this method on the requested resource"))
            }
            409 => ("Conflict", more("the server reported a conflict")),
            422 => ("Invalid", more("the server rejected our request due to an error in our request")),
            503 => ("ServiceUnavailable", more("the server is currently unable to handle the request")),
            500.. => (
                "InternalError",
                more(&format!("an error on the server ({text:?}) has prevented the request from succeeding")),
            ),
            _ => (
                "Unknown",
                more(&format!(
                    "the server responded with the status code {code} but did not return more information"
                )),
            ),
        };
        Self::failure(code, reason, message).about(resource, name)
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

    /// 500 with upstream's plain text: an error that is no API error there.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { details: None, ..Self::failure(500, "", why) }
    }

    /// 410: a watch's or a page's place is gone.
    pub fn gone(why: impl Into<String>) -> Self {
        Self::failure(410, "Gone", why)
    }

    /// 504: `Timeout: WHY`; `retry_after` in seconds, 0 for none.
    pub fn timeout(why: &str, retry_after: i32) -> Self {
        let mut status = Self::failure(504, "Timeout", format!("Timeout: {why}"));
        status.details = Some(Details { retry_after_seconds: retry_after, ..Details::default() });
        status
    }

    /// 504: the revision that was asked for lies in the future.
    pub fn too_large_resource_version(asked: u64, current: u64) -> Self {
        let mut status =
            Self::timeout(&format!("Too large resource version: {asked}, current: {current}"), 1);
        if let Some(details) = &mut status.details {
            details.causes.push(Cause {
                reason: "ResourceVersionTooLarge".into(),
                message: "Too large resource version".into(),
                field: String::new(),
            });
        }
        status
    }

    /// 500: the server could not finish `verb` now (ServerTimeout).
    pub fn server_timeout(resource: GroupResource<'_>, verb: &str, retry_after: i32) -> Self {
        let mut status = Self::failure(
            500,
            "ServerTimeout",
            format!("The {verb} operation against {resource} could not be completed at this time, please try again."),
        )
        .about(resource, verb);
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = retry_after;
        }
        status
    }

    /// 409: every generated name was taken; the client tries again.
    pub fn generate_name_conflict(resource: GroupResource<'_>, name: &str, retry_after: i32) -> Self {
        let mut status = Self::failure(
            409,
            "AlreadyExists",
            format!("{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object"),
        )
        .about(resource, name);
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = retry_after;
        }
        status
    }

    /// 429 from a loaded server or a budget; `retry_after` in seconds.
    pub fn too_many_requests(why: impl Into<String>, retry_after: i32) -> Self {
        let mut status = Self::failure(429, "TooManyRequests", why);
        status.details = Some(Details { retry_after_seconds: retry_after, ..Details::default() });
        status
    }

    /// 429 by flow control.
    pub fn too_many_requests_generic() -> Self {
        Self::too_many_requests("too many requests, please try again later", 1)
    }

    /// 503.
    pub fn service_unavailable(why: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", why)
    }

    /// 413: a body or patch beyond its limit.
    pub fn request_entity_too_large(why: impl std::fmt::Display) -> Self {
        Self::failure(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    /// 415 for a patch or body of a type that nobody reads here.
    pub fn unsupported_media_type() -> Self {
        let mut status = Self::failure(415, "UnsupportedMediaType", "415: Unsupported Media Type");
        status.details = Some(Details::default());
        status
    }

    /// 415 that lists what is read: `the body of the request was in an unknown format - …`.
    pub fn unknown_body_format(accepted: &[&str]) -> Self {
        Self::failure(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 406: `only the following media types are accepted: …`.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::failure(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {}", accepted.join(", ")),
        )
    }

    /// 404 for a path that no resource has.
    pub fn no_such_resource() -> Self {
        let mut status = Self::failure(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Details::default());
        status
    }

    /// 405 for a method that a path does not have.
    pub fn method_not_allowed() -> Self {
        let mut status = Self::failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status.details = Some(Details::default());
        status
    }

    /// 422 without particulars: what a JSON patch that does not apply gets.
    pub fn unprocessable_request() -> Self {
        let mut status =
            Self::failure(422, "Invalid", "the server rejected our request due to an error in our request");
        status.details = Some(Details::default());
        status
    }

    /// 409 of an apply, with a cause for each field in conflict.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        let mut status = Self::failure(409, "Conflict", message);
        status.details = Some(Details { causes, ..Details::default() });
        status
    }

    /// `Success` (a deletion's answer, say), about an object.
    pub fn success(code: u16, details: Option<Details>) -> Self {
        Self { code, status: "Success", reason: "", message: String::new(), details, continue_token: None }
    }

    /// Whether this is a refusal for `reason`.
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// Adds a cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: &str, field: &str) -> Self {
        self.details.get_or_insert_default().causes.push(Cause {
            reason: reason.into(),
            message: message.into(),
            field: field.into(),
        });
        self
    }

    /// meta/v1 Status as JSON has it.
    pub fn to_value(&self) -> Value {
        let mut object = Object::with_capacity(8);
        add_text(&mut object, "kind", "Status");
        add_text(&mut object, "apiVersion", "v1");
        let mut metadata = Object::default();
        add_text(&mut metadata, "continue", self.continue_token.as_deref().unwrap_or(""));
        object.push_new("metadata", Value::Object(metadata));
        add_text(&mut object, "status", self.status);
        add_text(&mut object, "message", &self.message);
        add_text(&mut object, "reason", self.reason);
        if let Some(details) = &self.details {
            object.push_new("details", details.to_value());
        }
        if self.code != 0 {
            object.push_new("code", i64::from(self.code));
        }
        Value::Object(object)
    }

    /// Reads a Status of a server; `None` where `value` is of another kind. A
    /// reason that this program does not know reads as unknown ("").
    pub fn from_value(value: &Value) -> Option<Self> {
        if value["kind"].text() != "Status" {
            return None;
        }
        let reason = value["reason"].text();
        Some(Self {
            code: u16::try_from(value["code"].as_i64().unwrap_or(0)).unwrap_or(0),
            status: if value["status"].text() == "Success" { "Success" } else { "Failure" },
            reason: REASONS.iter().find(|known| **known == reason).copied().unwrap_or(""),
            message: value["message"].text().to_owned(),
            details: match &value["details"] {
                Value::Null => None,
                details => Some(Details::from_value(details)),
            },
            continue_token: value["metadata"]["continue"].as_str().map(Into::into),
        })
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

/// Every StatusReason of meta/v1.
const REASONS: [&str; 21] = [
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Gone",
    "Invalid",
    "ServerTimeout",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "BadRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "RequestEntityTooLarge",
    "UnsupportedMediaType",
    "InternalError",
    "Expired",
    "ServiceUnavailable",
    "NamespaceTerminating",
    "FieldManagerConflict",
];

fn add_text(object: &mut Object, name: &'static str, text: &str) {
    if !text.is_empty() {
        object.push_new(Key::Borrowed(name), text);
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut object = Object::new();
        add_text(&mut object, "name", &self.name);
        add_text(&mut object, "group", &self.group);
        add_text(&mut object, "kind", &self.kind);
        add_text(&mut object, "uid", &self.uid);
        if !self.causes.is_empty() {
            object.push_new("causes", self.causes.iter().map(Cause::to_value).collect::<Vec<_>>());
        }
        if self.retry_after_seconds != 0 {
            object.push_new("retryAfterSeconds", self.retry_after_seconds);
        }
        Value::Object(object)
    }

    fn from_value(value: &Value) -> Self {
        let text = |name: &str| value[name].text().to_owned();
        let cause = |cause: &Value| Cause {
            reason: cause["reason"].text().to_owned(),
            message: cause["message"].text().to_owned(),
            field: cause["field"].text().to_owned(),
        };
        Details {
            name: text("name"),
            group: text("group"),
            kind: text("kind"),
            uid: text("uid"),
            causes: value["causes"].items().iter().map(cause).collect(),
            retry_after_seconds: value["retryAfterSeconds"]
                .as_i64()
                .and_then(|seconds| i32::try_from(seconds).ok())
                .unwrap_or(0),
        }
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut object = Object::new();
        add_text(&mut object, "reason", &self.reason);
        add_text(&mut object, "message", &self.message);
        add_text(&mut object, "field", &self.field);
        Value::Object(object)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn trees_are_upstreams() {
        let pods = GroupResource { group: "", resource: "pods" };
        assert_eq!(
            Status::not_found(pods, "a").to_value(),
            value!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "pods \"a\" not found", "reason": "NotFound",
                "details": {"name": "a", "kind": "pods"}, "code": 404})
        );
        assert_eq!(
            Status::too_large_resource_version(9, 3).to_value(),
            value!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Timeout: Too large resource version: 9, current: 3", "reason": "Timeout",
                "details": {
                    "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                    "retryAfterSeconds": 1},
                "code": 504})
        );
        let stored = [
            ("a", "pods \"a\" not found"),
            ("", "Name parameter required."),
            ("a/b%", "Name parameter invalid: \"a/b%\": may not contain '/';may not contain '%'"),
            ("..", "Name parameter invalid: \"..\": may not be '..'"),
        ];
        for (name, expected) in stored {
            assert_eq!(Status::not_stored(pods, name).message, expected, "{name}");
        }
        assert_eq!(Status::unprocessable_request().to_value()["details"], value!({}));
    }

    #[test]
    fn trees_are_read_back() {
        let deployments = GroupResource { group: "apps", resource: "deployments" };
        for status in [
            Status::conflict(deployments, "d", "it changed"),
            Status::too_many_requests("slow down", 7),
            Status::forbidden(deployments, "", "no").with_cause("Odd", "because", "spec"),
            Status::unknown("strconv.ParseUint: parsing \"x\": invalid syntax"),
            Status::success(200, Some(Details { name: "a".into(), ..Details::default() })),
        ] {
            assert_eq!(Status::from_value(&status.to_value()), Some(status));
        }
        assert_eq!(Status::from_value(&value!({"kind": "Pod"})), None);
    }
}
