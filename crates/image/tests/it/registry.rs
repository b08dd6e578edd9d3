//! A tiny registry: manifests and blobs out of an archive, with or without
//! bearer tokens, with faults on demand.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

#[derive(Default)]
pub struct Content {
    /// Path after /v2/ → media type and bytes.
    pub files: BTreeMap<String, (String, Vec<u8>)>,
    /// User and password that a token costs.
    pub login: Option<(String, String)>,
}

pub struct Registry {
    pub address: SocketAddr,
    pub content: Arc<Mutex<Content>>,
    pub requests: Arc<Mutex<Vec<String>>>,
    /// So many requests are answered with 503 first.
    pub failures: Arc<AtomicUsize>,
}

impl Registry {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry =
            Self { address, content: Arc::default(), requests: Arc::default(), failures: Arc::default() };
        let (content, requests, failures) =
            (registry.content.clone(), registry.requests.clone(), registry.failures.clone());
        let tasks = edge::Edge::system().tasks;
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (content, requests, failures) = (content.clone(), requests.clone(), failures.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        requests.lock().unwrap().push(request.uri().path().to_owned());
                        let answer = if failures
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                            .is_ok()
                        {
                            status(503)
                        } else {
                            answer(&content.lock().unwrap(), &request, address)
                        };
                        async move { Ok::<_, std::convert::Infallible>(answer) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        registry
    }

    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Puts an archive's image under a repository and tag; with `index`, behind
    /// an index that also lists another platform.
    pub fn put(&self, archive: &[u8], repository: &str, tag: &str, index: bool) {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let top: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let digest = top["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let manifest = files[&format!("blobs/sha256/{}", &digest["sha256:".len()..])].clone();
        let mut content = self.content.lock().unwrap();
        for (path, bytes) in &files {
            if let Some(hex) = path.strip_prefix("blobs/sha256/") {
                content.files.insert(
                    format!("{repository}/blobs/sha256:{hex}"),
                    ("application/octet-stream".into(), bytes.clone()),
                );
            }
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        content.files.insert(format!("{repository}/manifests/{digest}"), (kind.into(), manifest.clone()));
        if index {
            let mut list = top;
            let mut other = list["manifests"][0].clone();
            other["platform"]["architecture"] = "s390x".into();
            other["digest"] = format!("sha256:{}", "0".repeat(64)).into();
            list["manifests"].as_array_mut().unwrap().insert(0, other);
            content.files.insert(
                format!("{repository}/manifests/{tag}"),
                ("application/vnd.oci.image.index.v1+json".into(), list.to_string().into_bytes()),
            );
        } else {
            content.files.insert(format!("{repository}/manifests/{tag}"), (kind.into(), manifest));
        }
    }

    pub fn asked(&self, part: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|path| path.contains(part)).count()
    }
}

fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::default()).unwrap()
}

fn answer(content: &Content, request: &Request<Incoming>, address: SocketAddr) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let authorization =
        request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    if path == "/token" {
        let wanted = content.login.as_ref().map(|(user, password)| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
            )
        });
        return if wanted.is_none_or(|wanted| wanted == authorization) {
            Response::new(Full::new(Bytes::from_static(br#"{"token":"let-me-in"}"#)))
        } else {
            status(401)
        };
    }
    if content.login.is_some() && authorization != "Bearer let-me-in" {
        return Response::builder()
            .status(401)
            .header("www-authenticate", format!(r#"Bearer realm="http://{address}/token",service="test""#))
            .body(Full::new(Bytes::from_static(
                br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
            )))
            .unwrap();
    }
    let Some(rest) = path.strip_prefix("/v2/") else { return status(404) };
    if rest.is_empty() {
        return status(200);
    }
    match content.files.get(rest) {
        Some((kind, bytes)) => Response::builder()
            .header("content-type", kind)
            .body(Full::new(Bytes::from(bytes.clone())))
            .unwrap(),
        None => Response::builder()
            .status(404)
            .body(Full::new(Bytes::from_static(
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            )))
            .unwrap(),
    }
}
