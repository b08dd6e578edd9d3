//! What a webhook answered over HTTP, read as client-go reads it.

use api::facts;
use apimachinery::schema::{Strictness, decode_json};
use apimachinery::{Value, json, yaml};

/// An HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    /// `Content-Type`; empty where there is none.
    pub content_type: String,
    pub body: Vec<u8>,
}

const GROUP: &str = "admission.k8s.io";
const REVIEW: &str = "AdmissionReview";
/// The unversioned kinds, which client-go knows beside the reviews.
const UNVERSIONED: [&str; 5] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..=206).contains(&self.code)
    }

    /// The AdmissionReview in the answer to a question in `version`.
    ///
    /// # Errors
    /// It is none: client-go's words.
    pub fn review(&self, version: &str) -> Result<Value, String> {
        if !self.is_success() {
            return Err(self.failure());
        }
        if self.body.is_empty() {
            let sort =
                Some(&*self.content_type).filter(|sort| !sort.is_empty()).unwrap_or("application/json");
            return Err(format!(
                "0-length response with status code: {} and content type: {sort}",
                self.code
            ));
        }
        let body = self.json()?;
        let (api_version, kind) = kind_of(&body, &format!("{GROUP}/{version}"), REVIEW)?;
        let type_name = self::type_name(&api_version);
        let known = match &*kind {
            REVIEW => matches!(api_version.strip_prefix(GROUP), Some("/v1" | "/v1beta1")),
            kind => api_version == "v1" && UNVERSIONED.contains(&kind),
        };
        if !known {
            return Err(format!(
                "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
            ));
        }
        let review = decode(&body, GROUP, REVIEW)
            .map_err(|why| why.replace("v1.Admission", &format!("{type_name}.Admission")))?;
        if kind != REVIEW || type_name != version {
            return Err(format!(
                "converting ({type_name}.{kind}) to ({version}.{REVIEW}): unknown conversion"
            ));
        }
        Ok(review)
    }

    /// The body, made JSON where it is YAML.
    fn json(&self) -> Result<Vec<u8>, String> {
        let first = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'{') {
            return Ok(self.body.clone());
        }
        let tree = yaml::parse(&self.body).map_err(|error| error.to_string())?;
        Ok(json::to_string(&tree).into_bytes())
    }

    /// Why an answer that is no success is none: a Status says so itself.
    fn failure(&self) -> String {
        let status = self.json().ok().filter(|body| {
            kind_of(body, "v1", "Status").is_ok_and(|(version, kind)| version == "v1" && kind == "Status")
        });
        let status = status.and_then(|body| decode(&body, "", "Status").ok());
        match status {
            Some(status) if status["status"].text() == "Failure" => status["message"].text().to_owned(),
            _ => self.words(),
        }
    }

    /// The words for a code. Text is told, other bodies are not.
    fn words(&self) -> String {
        let sort = self.content_type.split(';').next().unwrap_or("").trim();
        let is_text = sort.is_empty() || sort.to_ascii_lowercase().starts_with("text/");
        let text = String::from_utf8_lossy(&self.body);
        let text = if is_text { text.trim() } else { "unknown" };
        match self.code {
            400 => "the server rejected our request for an unknown reason".to_owned(),
            401 => "the server has asked for the client to provide credentials".to_owned(),
            403 | 415 => text.to_owned(),
            404 => "the server could not find the requested resource".to_owned(),
            405 => "the server does not allow this method on the requested resource".to_owned(),
            406 if matches!(text, "" | "unknown") => {
                "the server was unable to respond with a content type that the client supports".to_owned()
            }
            406 => text.to_owned(),
            409 => "the server reported a conflict".to_owned(),
            422 => "the server rejected our request due to an error in our request".to_owned(),
            429 => "the server has received too many requests and has asked us to try again later".to_owned(),
            503 => "the server is currently unable to handle the request".to_owned(),
            504 => "the server was unable to return a response in the time allotted, but may still be processing the request".to_owned(),
            500.. => format!("an error on the server ({text:?}) has prevented the request from succeeding"),
            code => format!("the server responded with the status code {code} but did not return more information"),
        }
    }
}

/// apiVersion and kind of a body, those of what is expected where it says none.
fn kind_of(body: &[u8], api_version: &str, kind: &str) -> Result<(String, String), String> {
    let meta = json::type_meta(body)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    let or = |text: String, expected: &str| if text.is_empty() { expected.to_owned() } else { text };
    Ok((or(meta.api_version, api_version), or(meta.kind, kind)))
}

/// `v1` of `admission.k8s.io/v1`, the package of Go's type.
fn type_name(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or(api_version)
}

fn decode(body: &[u8], group: &str, kind: &str) -> Result<Value, String> {
    let Some(schema) = facts::types().kind(group, "v1", kind) else { return Ok(Value::Null) };
    decode_json(facts::types(), schema, body, Strictness::Ignore)
        .map(|decoded| decoded.value)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, content_type: &str, body: &str) -> Answer {
        Answer { code, content_type: content_type.to_owned(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn what_is_no_review_is_told_in_the_clients_words() {
        const JSON: &str = "application/json";
        for (answer, why) in [
            (
                answer(200, JSON, ""),
                "0-length response with status code: 200 and content type: application/json",
            ),
            (
                answer(204, "", ""),
                "0-length response with status code: 204 and content type: application/json",
            ),
            (
                answer(200, JSON, r#"{"a":"#),
                "couldn't get version/kind; json parse error: unexpected end of JSON input",
            ),
            (
                answer(200, JSON, r#"{"apiVersion":5}"#),
                "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .apiVersion of type string",
            ),
            (
                answer(200, JSON, r#"{"apiVersion":"v1","kind":"Pod"}"#),
                "no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
            ),
            (
                answer(200, JSON, r#"{"apiVersion":"odd/v1"}"#),
                "no kind \"AdmissionReview\" is registered for version \"odd/v1\" in scheme \"pkg/runtime/scheme.go:111\"",
            ),
            (
                answer(200, JSON, r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#),
                "converting (v1beta1.AdmissionReview) to (v1.AdmissionReview): unknown conversion",
            ),
            (
                answer(200, JSON, r#"{"apiVersion":"v1","kind":"Status"}"#),
                "converting (v1.Status) to (v1.AdmissionReview): unknown conversion",
            ),
            (
                answer(200, JSON, r#"{"response":{"allowed":"true"}}"#),
                "json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool",
            ),
            (answer(200, JSON, r#"{"response":{"patch":"!!!"}}"#), "illegal base64 data at input byte 0"),
            (
                answer(500, JSON, "boom"),
                "an error on the server (\"unknown\") has prevented the request from succeeding",
            ),
            (
                answer(500, "text/plain; charset=utf-8", " boom\n"),
                "an error on the server (\"boom\") has prevented the request from succeeding",
            ),
            (answer(403, "text/html", " f "), "f"),
            (
                answer(
                    400,
                    JSON,
                    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"own"}"#,
                ),
                "own",
            ),
            (
                answer(
                    400,
                    JSON,
                    r#"{"kind":"Status","apiVersion":"v1","status":"Success","message":"own"}"#,
                ),
                "the server rejected our request for an unknown reason",
            ),
        ] {
            assert_eq!(answer.review("v1").expect_err(why), why);
        }
        let yaml = answer(200, "text/plain", "kind: AdmissionReview\nresponse: {uid: u, allowed: true}\n");
        assert!(yaml.review("v1").expect("a review")["response"]["allowed"].is_true());
    }
}
