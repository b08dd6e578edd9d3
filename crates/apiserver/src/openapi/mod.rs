//! OpenAPI v2 and v3: documents made of the facts and of custom resources'
//! definitions when they are asked for. They are not kept: clients cache them
//! by their hash.

mod custom;
mod operations;
mod v2;
mod v2_protobuf;
mod v3;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, LazyLock, Weak};

use apimachinery::{Status, Value, json};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response};
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

/// Names the state of the facts in links, so that clients know when to ask again.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for part in [DESCRIPTIONS, SCHEMAS, PATHS] {
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
});

const JSON: &str = "application/json";
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What version 2 is asked for as; the second is an older name of the third.
const V2_FORMS: [&str; 3] = [JSON, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", V2_PROTOBUF];

/// What version 3 may be asked for as; it is answered in JSON.
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
    /// Answers below `/openapi`; `rest` is the path's parts after it.
    pub(crate) fn serve_openapi(&self, head: &Head, rest: &[&str]) -> Response<Body> {
        match rest {
            ["v2"] => self.openapi_v2(head),
            ["v3"] => {
                let view = self.view();
                let hash = |name: &str| custom::hash(&view, name).unwrap_or_else(|| HASH.clone());
                let index = json::to_string(&v3::index(&Facts::with_custom(&view, false), &hash));
                respond::plain(200, "text/plain; charset=utf-8", index)
            }
            ["v3", document @ ..] => {
                let name = document.join("/");
                let view = self.view();
                let hash = custom::hash(&view, &name);
                let key = format!("v3/{name}?{}", hash.as_deref().unwrap_or(""));
                let make = || {
                    let facts = Facts::with_custom(&view, false);
                    v3::document(&facts, &name, hash.is_some()).map(|document| encoded(&document))
                };
                match self.cached(&key, make) {
                    Some(_) if negotiate::preferred(&head.headers, &V3_FORMS).is_none() => not_acceptable(),
                    Some(body) => answer(&head.headers, JSON, &body, hash.as_deref().unwrap_or(&HASH)),
                    None => {
                        let mut response = respond::plain(404, "text/plain", Vec::new());
                        response.headers_mut().remove(CONTENT_TYPE);
                        response
                    }
                }
            }
            _ => respond::no_such_page(),
        }
    }

    fn openapi_v2(&self, head: &Head) -> Response<Body> {
        let (name, media_type) = match negotiate::preferred(&head.headers, &V2_FORMS) {
            Some(0) => ("v2", JSON),
            Some(_) => ("v2/protobuf", V2_PROTOBUF),
            None => return not_acceptable(),
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
        match made {
            Some(body) => {
                let mut response = answer(&head.headers, media_type, &body, &hash);
                response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
                response
            }
            None => respond::status(&Status::internal("no document"), negotiate::Wanted::JSON),
        }
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

fn not_acceptable() -> Response<Body> {
    let mut response = respond::plain(406, "text/plain", Vec::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

fn encoded(document: &Value) -> Vec<u8> {
    json::to_string(document).into_bytes()
}

fn answer(headers: &HeaderMap, media_type: &'static str, body: &Arc<Vec<u8>>, hash: &str) -> Response<Body> {
    let tag = format!("\"{hash}\"");
    let same = headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if same {
        respond::plain(304, media_type, Vec::new())
    } else {
        // The body keeps the document alive for others who ask meanwhile.
        struct Shared(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Shared {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let body = bytes::Bytes::from_owner(Shared(body.clone()));
        respond::sized(200, media_type, body, respond::takes_gzip(headers))
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

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
