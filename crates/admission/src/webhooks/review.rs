//! AdmissionReview: the question to a webhook, and what its answer means.

use apimachinery::{Status, Value, json, value};
use apiserver::{Admission, Version};
use base64::Engine;

use super::answer::Answer;
use super::hooks::Hook;
use crate::policies::request as request_of;

/// The sort of patch that there is.
pub(super) const JSON_PATCH: &str = "JSONPatch";

/// A question.
pub(super) struct Review {
    /// `v1` or `v1beta1`.
    version: &'static str,
    uid: String,
    request: Value,
}

/// What an answer says.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub warnings: Vec<String>,
    /// Notes for the audit log, their keys without the webhook's name.
    pub audit: Vec<(String, String)>,
    pub verdict: Verdict,
}

#[derive(Debug, Default)]
pub(super) enum Verdict {
    #[default]
    Passes,
    /// The patch's bytes and its sort.
    Patches(Vec<u8>, String),
    Refuses(Box<Status>),
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
        let old = match admission.old {
            Some(old) => admission.served(version, old)?,
            None => Value::Null,
        };
        let mut request = value!({"uid": &uid});
        for (name, value) in request_of(admission, version).members() {
            // The objects stand between the user and the rest.
            if name == "dryRun" {
                request.set("object", admission.served(version, object)?);
                request.set("oldObject", old.clone());
            }
            request.set(name.to_owned(), value.clone());
        }
        Ok(Self { version: hook.review_version, uid, request })
    }

    /// The body to send.
    pub fn body(&self) -> Vec<u8> {
        let review = value!({
            "kind": "AdmissionReview",
            "apiVersion": format!("admission.k8s.io/{}", self.version),
            "request": self.request.clone()
        });
        json::to_string(&review).into_bytes()
    }

    /// What an answer means.
    ///
    /// # Errors
    /// It is no answer to the question: why.
    pub fn read(&self, answer: &Answer, hook: &str, mutates: bool) -> Result<Reply, String> {
        let review = answer.review(self.version).map_err(|why| format!("failed to call webhook: {why}"))?;
        let verified = self.verify(&review, mutates);
        let patch = verified.map_err(|why| format!("received invalid webhook response: {why}"))?;
        let response = &review["response"];
        let texts = response["warnings"].items().iter().map(|warning| warning.text().to_owned());
        let notes = response["auditAnnotations"].members();
        Ok(Reply {
            warnings: texts.collect(),
            audit: notes.map(|(key, note)| (key.to_owned(), note.text().to_owned())).collect(),
            verdict: match patch {
                _ if !response["allowed"].is_true() => {
                    Verdict::Refuses(Box::new(refusal(hook, &response["status"])))
                }
                Some((patch, sort)) => Verdict::Patches(patch, sort),
                None => Verdict::Passes,
            },
        })
    }

    /// Whether the review answers this one, and the patch in it.
    fn verify(&self, review: &Value, mutates: bool) -> Result<Option<(Vec<u8>, String)>, String> {
        let response = &review["response"];
        if response.is_null() {
            return Err("webhook response was absent".to_owned());
        }
        let (encoded, sort) = (response["patch"].text(), response["patchType"].as_str());
        // Of v1beta1, neither who answers nor the sort of the patch is looked at.
        if self.version == "v1" {
            if response["uid"].text() != self.uid {
                let got = response["uid"].text();
                return Err(format!("expected response.uid={:?}, got {got:?}", self.uid));
            }
            let (api_version, kind) = (review["apiVersion"].text(), review["kind"].text());
            if (api_version, kind) != ("admission.k8s.io/v1", "AdmissionReview") {
                let slash = if api_version.contains('/') { "" } else { "/" };
                return Err(format!(
                    "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {slash}{api_version}, Kind={kind}"
                ));
            }
            match (mutates, encoded.is_empty(), sort) {
                (true, false, None) => {
                    return Err("webhook returned response.patch but not response.patchType".to_owned());
                }
                (true, true, Some(_)) => {
                    return Err("webhook returned response.patchType but not response.patch".to_owned());
                }
                (true, _, Some("")) => {
                    return Err("webhook returned invalid response.patchType of \"\"".to_owned());
                }
                (false, false, _) => {
                    return Err("validating webhook may not return response.patch".to_owned());
                }
                (false, _, Some(_)) => {
                    return Err("validating webhook may not return response.patchType".to_owned());
                }
                _ => {}
            }
        }
        if !mutates || encoded.is_empty() {
            return Ok(None);
        }
        let sort = if self.version == "v1" { sort.unwrap_or_default() } else { JSON_PATCH };
        // Decoding the review has checked it.
        let patch = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
        Ok(Some((patch, sort.to_owned())))
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

    fn read(version: &'static str, response: Value, mutates: bool) -> Result<Reply, String> {
        let review = Review { version, uid: "u".into(), request: Value::object() };
        let answer = value!({
            "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "response": response
        });
        let body = json::to_string(&answer).into_bytes();
        review.read(&Answer { code: 200, content_type: String::new(), body }, "h.ex.com", mutates)
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
            let response = value!({"uid": "u", "allowed": false, "status": status, "warnings": ["w"]});
            let reply = read("v1", response, false).expect("an answer");
            assert_eq!(reply.warnings, ["w"]);
            let Verdict::Refuses(refused) = reply.verdict else { panic!("no refusal") };
            assert_eq!((refused.message.as_str(), refused.code), (message, code));
        }
    }

    #[test]
    fn answers_must_answer_the_question() {
        for (response, mutates, why) in [
            (value!({"uid": "x", "allowed": true}), true, "expected response.uid=\"u\", got \"x\""),
            (
                value!({"uid": "u", "allowed": true, "patch": "W10="}),
                true,
                "webhook returned response.patch but not response.patchType",
            ),
            (
                value!({"uid": "u", "allowed": true, "patchType": "JSONPatch"}),
                true,
                "webhook returned response.patchType but not response.patch",
            ),
            (
                value!({"uid": "u", "allowed": true, "patchType": "JSONPatch"}),
                false,
                "validating webhook may not return response.patchType",
            ),
            (
                value!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"}),
                false,
                "validating webhook may not return response.patch",
            ),
            (Value::Null, true, "webhook response was absent"),
        ] {
            let why = format!("received invalid webhook response: {why}");
            assert_eq!(read("v1", response, mutates).expect_err(&why), why);
        }
    }

    #[test]
    fn only_v1_says_the_sort_of_a_patch() {
        for (version, sort, told) in
            [("v1", "JSONPatch", "JSONPatch"), ("v1", "Odd", "Odd"), ("v1beta1", "Odd", "JSONPatch")]
        {
            let response = value!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": sort});
            let reply = read(version, response, true).expect("an answer");
            let Verdict::Patches(patch, sort) = reply.verdict else { panic!("no patch") };
            assert_eq!((patch.as_slice(), sort.as_str()), (b"[]".as_slice(), told));
        }
        let response = value!({"uid": "other", "allowed": true, "patch": "W10="});
        let reply = read("v1beta1", response, false).expect("an answer");
        assert!(matches!(reply.verdict, Verdict::Passes));
    }
}
