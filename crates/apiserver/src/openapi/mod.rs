//! OpenAPI v2 and v3: documents made of the facts and of custom resources'
//! definitions when they are asked for. They are not kept: clients cache them
//! by their hash.

mod custom;
mod operations;
mod protobuf;
mod v2;
mod v2_protobuf;
mod v3;
mod v3_protobuf;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Weak};

use apimachinery::{Status, Value, json};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, HeaderValue,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RANGE, VARY,
};
use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::pipeline::Head;
use crate::{ApiServer, View, negotiate, respond};

static DESCRIPTIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.json.zlib"));
static SCHEMAS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.json.zlib"));
static PATHS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/paths.json.zlib"));

/// What every type with them says of these two.
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// Grows when documents are made otherwise of the same facts: clients keep what a hash names.
const FORM: [u8; 1] = [1];

/// Names the state of the facts in links, so that clients know when to ask again.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for part in [DESCRIPTIONS, SCHEMAS, PATHS] {
        digest.update(part);
    }
    digest.update(FORM);
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
});

const JSON: &str = "application/json";
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What version 2 is asked for as; the second is an older name of the third.
const V2_FORMS: [&str; 3] = [JSON, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", V2_PROTOBUF];

const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// What version 3 is asked for as; the second is the older name.
const V3_FORMS: [&str; 3] = [
    JSON,
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
];

/// Documents that somebody is still reading.
#[derive(Default)]
pub(crate) struct OpenApi(Mutex<BTreeMap<String, Weak<Vec<u8>>>>);

/// The facts, decompressed for as long as a document is made.
struct Facts {
    schemas: Value,
    paths: Value,
    descriptions: Value,
}

impl Facts {
    fn load() -> Self {
        let mut facts = Self::read();
        facts.schemas.set(operations::VERSION, version_schema());
        facts
    }

    fn read() -> Self {
        let read = |compressed: &[u8]| {
            let mut text = Vec::new();
            let read = flate2::read::ZlibDecoder::new(compressed).read_to_end(&mut text);
            read.ok().and_then(|_| json::parse_ordered(&text).ok()).unwrap_or_default()
        };
        Self { schemas: read(SCHEMAS), paths: read(PATHS), descriptions: read(DESCRIPTIONS) }
    }

    /// With the custom resources of a view.
    fn with_custom(view: &View, v2: bool) -> Self {
        let mut facts = Self::load();
        custom::add(&mut facts, view, v2);
        facts
    }

    /// What a type (`field` "") or one of its fields is for.
    fn description(&self, schema: &str, field: &str) -> Option<&str> {
        match self.descriptions[schema][field].as_str() {
            None if field == "apiVersion" => Some(API_VERSION),
            None if field == "kind" => Some(KIND),
            known => known,
        }
    }

    /// The schema of a kind.
    fn schema_of(&self, gvk: &Value, kind: &str) -> Option<&str> {
        self.schemas.members().find_map(|(name, schema)| {
            let named = schema["x-kubernetes-group-version-kind"].items().iter().any(|have| {
                have["group"] == gvk["group"]
                    && have["version"] == gvk["version"]
                    && have["kind"].text() == kind
            });
            named.then_some(name)
        })
    }
}

/// What `/version` answers, which no group has.
fn version_schema() -> Value {
    let mut properties = Value::object();
    let mut required: Vec<Value> = Vec::new();
    for (field, always) in [
        ("buildDate", true),
        ("compiler", true),
        ("emulationMajor", false),
        ("emulationMinor", false),
        ("gitCommit", true),
        ("gitTreeState", true),
        ("gitVersion", true),
        ("goVersion", true),
        ("major", true),
        ("minCompatibilityMajor", false),
        ("minCompatibilityMinor", false),
        ("minor", true),
        ("platform", true),
    ] {
        let mut property = Value::object();
        property.set("type", "string");
        if always {
            property.set("default", "");
        }
        properties.set(field, property);
    }
    for field in [
        "major",
        "minor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ] {
        required.push(field.into());
    }
    let mut schema = Value::object();
    schema.set("description", "The version of the server, and of what it is built with.");
    schema.set("type", "object");
    schema.set("required", required);
    schema.set("properties", properties);
    schema
}

/// `1.37`.
pub(crate) fn minor_version() -> String {
    let version = api::facts::version();
    format!("{}.{}", version["major"].text(), version["minor"].text())
}

/// The document that a path belongs to: `api/v1`, `apis/apps`, `version`.
fn document_of(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let most = match parts.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => parts.len(),
    };
    parts[..parts.len().min(most)].join("/")
}

impl ApiServer {
    /// Answers below `/openapi`, for any method; `rest` is the path's parts after it.
    pub(crate) fn serve_openapi(&self, head: &Head, rest: &[&str]) -> Response<Body> {
        match rest {
            ["v2"] => self.openapi_v2(head),
            ["v3"] => {
                let view = self.view();
                let hash = |name: &str| custom::hash(&view, name).unwrap_or_else(|| HASH.clone());
                let index = json::to_string(&v3::index(&Facts::with_custom(&view, false), &hash));
                self.content(head, "text/plain; charset=utf-8", index.into(), "")
            }
            ["v3", document @ ..] => self.openapi_v3(head, &document.join("/")),
            _ => respond::no_such_page(),
        }
    }

    fn openapi_v3(&self, head: &Head, name: &str) -> Response<Body> {
        let view = self.view();
        let own = custom::hash(&view, name);
        let hash = own.as_deref().unwrap_or(&HASH);
        let form = negotiate::preferred(&head.headers, &V3_FORMS);
        let (media_type, encode): (_, fn(&Value) -> Vec<u8>) = match form {
            Some(0) | None => (JSON, encoded),
            Some(_) => (V3_PROTOBUF, v3_protobuf::encode),
        };
        let make = || {
            let facts = Facts::with_custom(&view, false);
            v3::document(&facts, name, own.is_some()).map(|document| encode(&document))
        };
        let Some(body) = self.cached(&format!("v3/{name}?{hash} {media_type}"), make) else {
            return empty(404);
        };
        let asked = head.query.get("hash").filter(|asked| !asked.is_empty());
        let mut response = match (form, asked) {
            (None, _) => empty(406),
            (_, Some(asked)) if asked != hash => moved(name, media_type, hash),
            _ => self.content(head, media_type, shared(&body), hash),
        };
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        // What is named by its hash never changes.
        if form.is_some() && asked == Some(hash) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            let year = 365 * 24 * 3600;
            let until = self.edge.clock.now() + jiff::SignedDuration::from_secs(year);
            insert(headers, EXPIRES, &until.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string());
        }
        response
    }

    fn openapi_v2(&self, head: &Head) -> Response<Body> {
        let (name, media_type) = match negotiate::preferred(&head.headers, &V2_FORMS) {
            Some(0) => ("v2", JSON),
            Some(_) => ("v2/protobuf", V2_PROTOBUF),
            None => return vary_by_both(empty(406)),
        };
        let view = self.view();
        let hash = match custom::hash(&view, "") {
            Some(custom) => format!("{}{custom}", *HASH),
            None => HASH.clone(),
        };
        let made = self.cached(&format!("{name}?{hash}"), || {
            let document = v2::document(&Facts::with_custom(&view, true));
            Some(if media_type == JSON { encoded(&document) } else { v2_protobuf::encode(&document) })
        });
        let Some(body) = made else {
            return respond::status(&Status::internal("no document"), negotiate::Wanted::JSON);
        };
        let mut response = self.content(head, media_type, shared(&body), &hash);
        if response.status() == StatusCode::OK && respond::takes_gzip(&head.headers) {
            respond::gzip(&mut response, shared(&body));
        }
        vary_by_both(response)
    }

    /// A document as Go's `http.ServeContent` gives it: whole, a part, or not again. `hash` is ""
    /// where it has no tag.
    fn content(&self, head: &Head, media_type: &'static str, body: Bytes, hash: &str) -> Response<Body> {
        let tag = format!("\"{hash}\"");
        let known = head.headers.get(IF_NONE_MATCH).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_known = !hash.is_empty()
            && known.split(|byte| *byte == b',').any(|one| {
                let one = one.trim_ascii();
                one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes()
            });
        let mut response = if is_known {
            empty(304)
        } else {
            let asked = head.headers.get(RANGE).and_then(|asked| asked.to_str().ok());
            let whole = body.len();
            let mut response = match asked.and_then(|asked| range(asked, whole)) {
                Some(part) => {
                    let told = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
                    let mut response = respond::plain(206, media_type, body.slice(part));
                    insert(response.headers_mut(), CONTENT_RANGE, &told);
                    response
                }
                None => respond::plain(200, media_type, body),
            };
            let since = self.health.started().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            insert(response.headers_mut(), LAST_MODIFIED, &since);
            response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            response
        };
        if !hash.is_empty() {
            insert(response.headers_mut(), ETAG, &tag);
        }
        response
    }

    /// A document that is being read elsewhere, or a new one.
    fn cached(&self, name: &str, make: impl FnOnce() -> Option<Vec<u8>>) -> Option<Arc<Vec<u8>>> {
        let mut known = self.openapi.0.lock();
        known.retain(|_, document| document.strong_count() > 0);
        if let Some(document) = known.get(name).and_then(Weak::upgrade) {
            return Some(document);
        }
        let document = Arc::new(make()?);
        known.insert(name.to_owned(), Arc::downgrade(&document));
        Some(document)
    }
}

/// An answer of its code alone.
fn empty(code: u16) -> Response<Body> {
    let mut response = respond::plain(code, "text/plain", Vec::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// The document is there, under another hash.
fn moved(name: &str, media_type: &'static str, hash: &str) -> Response<Body> {
    let mut response = respond::plain(301, media_type, Vec::new());
    insert(response.headers_mut(), ETAG, &format!("\"{hash}\""));
    insert(response.headers_mut(), LOCATION, &format!("/openapi/v3/{name}?hash={hash}"));
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn vary_by_both(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

fn encoded(document: &Value) -> Vec<u8> {
    json::to_string(document).into_bytes()
}

/// The bytes, which keep the document alive for others who ask meanwhile.
fn shared(body: &Arc<Vec<u8>>) -> Bytes {
    struct Shared(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Shared(body.clone()))
}

/// The one part of `length` bytes that is asked for; None for what is answered whole.
fn range(asked: &str, length: usize) -> Option<Range<usize>> {
    let (from, to) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let part = match (from.trim(), to.trim()) {
        ("", last) => length.checked_sub(number(last)?.min(length))?..length,
        (first, "") => number(first)?..length,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(length),
    };
    (part.start < part.end).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_lies_within() {
        let cases = [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=-5", Some(95..100)),
            ("bytes=95-200", Some(95..100)),
            ("bytes=100-", None),
            ("bytes=5-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ];
        for (asked, part) in cases {
            assert_eq!(range(asked, 100), part, "{asked}");
        }
    }

    #[test]
    fn paths_belong_to_documents() {
        let cases = [
            ("/api/v1/pods", "api/v1"),
            ("/api/", "api"),
            ("/apis/apps/v1/deployments", "apis/apps/v1"),
            ("/apis/apps/", "apis/apps"),
            ("/version/", "version"),
        ];
        for (path, document) in cases {
            assert_eq!(document_of(path), document);
        }
    }

    #[test]
    fn documents_describe_kinds_and_refer_only_to_what_they_hold() {
        let facts = Facts::load();
        let document = v3::document(&facts, "apis/apps/v1", false).unwrap();
        let schemas = &document["components"]["schemas"];
        assert!(
            schemas["io.k8s.api.apps.v1.Deployment"]["description"].text().starts_with("Deployment enables")
        );
        let mut missing = Vec::new();
        collect_references(&document, &mut |name| {
            if schemas[name].is_null() {
                missing.push(name.to_owned());
            }
        });
        assert_eq!(missing, Vec::<String>::new());
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert!(
            patch["parameters"].items().iter().any(|parameter| parameter["name"].text() == "fieldValidation")
        );
        let all = &document["paths"]["/apis/apps/v1/watch/deployments"]["parameters"];
        assert_eq!(all.items().len(), operations::LIST_OPTIONS.len() + 1, "{all:?}");
        assert!(v3::document(&facts, "apis/none/v1", false).is_none());
    }

    fn collect_references(value: &Value, found: &mut dyn FnMut(&str)) {
        if let Some(name) = value["$ref"].as_str().and_then(|text| text.strip_prefix("#/components/schemas/"))
        {
            found(name);
        }
        value.members().for_each(|(_, member)| collect_references(member, found));
        value.items().iter().for_each(|item| collect_references(item, found));
    }
}
