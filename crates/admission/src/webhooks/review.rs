//! AdmissionReview: the question to a webhook, and what its answer means.

use apimachinery::patch::json::Patch;
use apimachinery::{Status, Value, json, value};
use apiserver::{Admission, Version};
use base64::Engine;

use super::hooks::Hook;
use crate::policies::request;

/// A question.
pub(super) struct Review {
    api_version: String,
    uid: String,
    request: Value,
}

/// What an answer that lets pass says.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub patch: Option<Patch>,
    pub warnings: Vec<String>,
}

impl Review {
    /// # Errors
    /// The object cannot be expressed in the version.
    pub fn of(
        hook: &Hook,
        admission: &Admission<'_>,
        version: &Version,
        object: &Value,
    ) -> Result<Self, Status> {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&admission.random.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&admission.random.next_u64().to_be_bytes());
        let uid = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
        let mut request = request(admission, version);
        request.set("uid", &uid);
        request.set("object", admission.served(version, object)?);
        let old = match admission.old {
            Some(old) => admission.served(version, old)?,
            None => Value::Null,
        };
        request.set("oldObject", old);
        Ok(Self { api_version: format!("admission.k8s.io/{}", hook.review_version), uid, request })
    }

    /// The body to send.
    pub fn body(&self) -> Vec<u8> {
        let review = value!({
            "kind": "AdmissionReview",
            "apiVersion": &self.api_version,
            "request": self.request.clone()
        });
        json::to_string(&review).into_bytes()
    }

    /// What the body that came back means: a reply, or the webhook's refusal.
    ///
    /// # Errors
    /// It is no answer to the question: why.
    pub fn read(&self, body: &[u8], hook: &str, mutates: bool) -> Result<Result<Reply, Status>, String> {
        let review = json::parse(body).map_err(|error| format!("failed to call webhook: {error}"))?;
        let invalid = |why: String| Err(format!("received invalid webhook response: {why}"));
        let response = &review["response"];
        if response.is_null() {
            return Err("failed to call webhook: webhook response was absent".to_owned());
        }
        if self.api_version == "admission.k8s.io/v1" {
            let kind = |api_version: &str, kind: &str| {
                let api_version = if api_version.contains('/') {
                    api_version.to_owned()
                } else {
                    format!("/{api_version}")
                };
                format!("{api_version}, Kind={kind}")
            };
            let expected = kind(&self.api_version, "AdmissionReview");
            let got = kind(review["apiVersion"].text(), review["kind"].text());
            if got != expected {
                return invalid(format!("expected webhook response of {expected}, got {got}"));
            }
            if response["uid"].text() != self.uid {
                return invalid(format!(
                    "expected response.uid={:?}, got {:?}",
                    self.uid,
                    response["uid"].text()
                ));
            }
        }
        let patch = match self.patch(response, mutates) {
            Ok(patch) => patch,
            Err(why) => return invalid(why),
        };
        if !response["allowed"].is_true() {
            return Ok(Err(refusal(hook, &response["status"])));
        }
        let warnings = response["warnings"].items().iter().map(|warning| warning.text().to_owned());
        Ok(Ok(Reply { patch, warnings: warnings.collect() }))
    }

    fn patch(&self, response: &Value, mutates: bool) -> Result<Option<Patch>, String> {
        let (encoded, sort) = (response["patch"].text(), response["patchType"].text());
        if !mutates {
            return match (encoded, sort) {
                ("", "") => Ok(None),
                ("", _) => Err("validating webhook may not return response.patchType".to_owned()),
                _ => Err("validating webhook may not return response.patch".to_owned()),
            };
        }
        match (encoded, sort) {
            ("", "") => return Ok(None),
            ("", _) => return Err("webhook returned response.patchType but not response.patch".to_owned()),
            (_, "") if self.api_version.ends_with("/v1") => {
                return Err("webhook returned response.patch but not response.patchType".to_owned());
            }
            (_, "JSONPatch" | "") => {}
            (_, other) => return Err(format!("webhook returned invalid response.patchType of {other:?}")),
        }
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|error| format!("response.patch is no base64: {error}"))?;
        Patch::parse(&decoded).map(Some).map_err(|error| error.to_string())
    }
}

/// A webhook's refusal as the client gets it.
fn refusal(hook: &str, status: &Value) -> Status {
    let mut told = Status::failure(0, "", "");
    if !status.is_null() {
        let mut own = status.clone();
        own.set("kind", "Status");
        told = Status::from_value(&own).unwrap_or(told);
    }
    told.status = "Failure";
    told.code = told.code.max(400);
    let denied = format!("admission webhook {hook:?} denied the request");
    told.message = match (told.message.is_empty(), status["reason"].text()) {
        (false, _) => format!("{denied}: {}", told.message),
        (true, "") => format!("{denied} without explanation"),
        (true, reason) => format!("{denied}: {reason}"),
    };
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review() -> Review {
        Review { api_version: "admission.k8s.io/v1".into(), uid: "u".into(), request: Value::object() }
    }

    fn read(response: Value, mutates: bool) -> Result<Result<Reply, Status>, String> {
        let answer =
            value!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
        review().read(json::to_string(&answer).as_bytes(), "h.ex.com", mutates)
    }

    #[test]
    fn refusals_say_whose_they_are() {
        for (status, message, code) in [
            (
                value!({"message": "no", "code": 418}),
                "admission webhook \"h.ex.com\" denied the request: no",
                418,
            ),
            (
                value!({"reason": "Because"}),
                "admission webhook \"h.ex.com\" denied the request: Because",
                400,
            ),
            (Value::Null, "admission webhook \"h.ex.com\" denied the request without explanation", 400),
        ] {
            let response = value!({"uid": "u", "allowed": false, "status": status});
            let refused = read(response, false).expect("an answer").expect_err("a refusal");
            assert_eq!((refused.message.as_str(), refused.code), (message, code));
        }
    }

    #[test]
    fn answers_must_answer_the_question() {
        for (response, why) in [
            (
                value!({"uid": "x", "allowed": true}),
                "received invalid webhook response: expected response.uid=\"u\", got \"x\"",
            ),
            (
                value!({"uid": "u", "allowed": true, "patch": "W10="}),
                "received invalid webhook response: webhook returned response.patch but not response.patchType",
            ),
            (
                value!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "Odd"}),
                "received invalid webhook response: webhook returned invalid response.patchType of \"Odd\"",
            ),
            (Value::Null, "failed to call webhook: webhook response was absent"),
        ] {
            assert_eq!(read(response, true).expect_err("no answer"), why);
        }
        let response = value!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch", "warnings": ["w"]});
        let reply = read(response, true).expect("an answer").expect("a reply");
        assert!(reply.patch.is_some());
        assert_eq!(reply.warnings, ["w"]);
    }
}
