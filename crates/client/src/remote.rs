//! The API over TLS, with a kubeconfig's credentials.
//!
//! Requests and watches share one connection where the server speaks HTTP/2. It
//! is asked whether it lives, so that a server that vanished without a word ends
//! them, as client-go's does.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Status, Value};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::{BoxError, ServiceBuilder};

use crate::{
    DeleteOptions, Document, Error, List, ListOptions, PatchKind, Request, Resource, Transport, Verb,
    WatchEvent, WatchKind, WatchStream, WriteOptions,
};

/// A connection that is not there by then is none.
const CONNECT: Duration = Duration::from_secs(10);
/// After so much silence the server is asked whether it lives, and how long it
/// may take to answer; client-go's.
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(15);

/// A client of any Kubernetes API server. Clones, and those made of it to act as
/// others, share connections and credentials.
#[derive(Clone)]
pub struct Remote {
    client: Arc<RwLock<kube::Client>>,
    /// Of every request: as whom, and from which program.
    headers: HeaderMap,
}

impl Remote {
    /// Connects with the current context of a kubeconfig's text. No request
    /// is sent yet.
    pub async fn from_kubeconfig(text: &str) -> Result<Self, Error> {
        let client = connect(text).await?;
        Ok(Self { client: Arc::new(RwLock::new(client)), headers: HeaderMap::new() })
    }

    /// Uses another kubeconfig's text from the next request on, for all who share
    /// the credentials. Watches under way go on over the old connection.
    pub async fn replace(&self, text: &str) -> Result<(), Error> {
        let client = connect(text).await?;
        *self.client.write() = client;
        Ok(())
    }

    /// The same connection, used as another user (`Impersonate-User`,
    /// `Impersonate-Group`). A service account is in its groups without being told.
    ///
    /// # Panics
    /// Where a name is no text of a header, which no user's is.
    pub fn as_user(&self, user: &str, groups: &[&str]) -> Self {
        let mut other = self.clone();
        other.headers.insert(HeaderName::from_static("impersonate-user"), header(user));
        for group in groups {
            other.headers.append(HeaderName::from_static("impersonate-group"), header(group));
        }
        other
    }

    /// The same connection, used by a program of this name, after which the fields
    /// that it writes are owned.
    ///
    /// # Panics
    /// Where the name is no text of a header.
    pub fn with_agent(&self, agent: &str) -> Self {
        let mut other = self.clone();
        other.headers.insert(http::header::USER_AGENT, header(agent));
        other
    }

    async fn send(&self, mut request: http::Request<Body>) -> Result<http::Response<Body>, Error> {
        request.headers_mut().extend(self.headers.clone());
        let client = self.client.read().clone();
        client.send(request).await.map_err(|error| unreachable(&error))
    }

    async fn fetch(&self, request: http::Request<Body>) -> Result<Bytes, Error> {
        let (head, body) = self.send(request).await?.into_parts();
        let bytes = body.collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        if head.status.is_success() { Ok(bytes) } else { Err(refusal(head.status, &bytes)) }
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("names are visible text")
}

/// An error with its causes, the last of which tells most.
fn unreachable(error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    Error::Unreachable(text.into())
}

/// kube's client on connections of our own, for its own speak HTTP/1.1 alone: one
/// for each watch.
async fn connect(text: &str) -> Result<kube::Client, Error> {
    let config = kube::config::Kubeconfig::from_yaml(text).map_err(|error| unreachable(&error))?;
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default())
        .await
        .map_err(|error| unreachable(&error))?;
    if let Some(proxy) = &config.proxy_url {
        return Err(Error::Unreachable(format!("the way through the proxy {proxy} is not known").into()));
    }
    let tls = config.rustls_client_config().map_err(|error| unreachable(&error))?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    let mut https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into().map_err(|error| unreachable(&error))?;
        https = https.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name));
    }
    let connector = https.enable_http1().enable_http2().wrap_connector(connector);
    let client = hyper_util::client::legacy::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(SILENCE)
        .http2_keep_alive_timeout(ANSWER)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(|error| unreachable(&error))?)
        .layer(config.extra_headers_layer().map_err(|error| unreachable(&error))?)
        .map_err(BoxError::from)
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// The Status of a refused request, or one that quotes whatever came instead.
fn refusal(code: http::StatusCode, body: &[u8]) -> Error {
    let status = serde_json::from_slice::<Value>(body).ok().and_then(|tree| Status::from_value(&tree));
    status
        .unwrap_or_else(|| {
            Status::failure(code.as_u16(), "Unknown", String::from_utf8_lossy(body).trim().to_owned())
        })
        .into()
}

fn path(
    resource: &Resource,
    namespace: Option<&str>,
    name: Option<&str>,
    subresource: Option<&str>,
) -> String {
    let mut path = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    if let Some(namespace) = namespace {
        path += &format!("/namespaces/{namespace}");
    }
    for part in [Some(resource.plural.as_ref()), name, subresource].into_iter().flatten() {
        path.push('/');
        path += &escaped(part);
    }
    path
}

/// Percent-encodes whatever a path segment or a query value may not hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn with_query(path: String, query: &[(&str, String)]) -> String {
    let pairs: Vec<_> = query.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

fn list_query(options: &ListOptions) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    let mut add = |key, value: Option<String>| query.extend(value.map(|value| (key, value)));
    add("labelSelector", options.label_selector.clone());
    add("fieldSelector", options.field_selector.clone());
    add("metricLabelSelector", options.metric_label_selector.clone());
    add("limit", (options.limit > 0).then(|| options.limit.to_string()));
    add("continue", options.continue_token.clone());
    add("resourceVersion", options.resource_version.clone());
    add("resourceVersionMatch", options.resource_version_match.map(str::to_owned));
    add("allowWatchBookmarks", options.allow_watch_bookmarks.then(|| "true".into()));
    add("sendInitialEvents", options.send_initial_events.map(|wanted| wanted.to_string()));
    add("timeoutSeconds", options.timeout_seconds.map(|seconds| seconds.to_string()));
    query
}

fn write_query(options: &WriteOptions) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    if options.dry_run {
        query.push(("dryRun", "All".to_owned()));
    }
    query.extend(options.field_manager.clone().map(|manager| ("fieldManager", manager)));
    query.extend(options.field_validation.map(|level| ("fieldValidation", level.to_owned())));
    query
}

fn delete_body(options: &DeleteOptions) -> Value {
    let mut body = apimachinery::value!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if let Some(seconds) = options.grace_period_seconds {
        body.set("gracePeriodSeconds", seconds);
    }
    if let Some(uid) = &options.preconditions.uid {
        body.set_at(&["preconditions", "uid"], uid);
    }
    if let Some(revision) = &options.preconditions.resource_version {
        body.set_at(&["preconditions", "resourceVersion"], revision);
    }
    if let Some(propagation) = options.propagation {
        body.set("propagationPolicy", propagation.as_str());
    }
    if options.dry_run {
        body.set("dryRun", vec![Value::from("All")]);
    }
    body
}

fn build(
    method: http::Method,
    target: String,
    content_type: &str,
    body: Option<&Value>,
) -> http::Request<Body> {
    let builder = http::Request::builder().method(method).uri(target).header("Accept", "application/json");
    let request = match body {
        Some(tree) => {
            let text = serde_json::to_vec(tree).expect("a tree is always JSON");
            builder.header("Content-Type", content_type).body(Body::from(text))
        }
        None => builder.body(Body::empty()),
    };
    request.expect("escaped paths and fixed headers make a request")
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    metadata: MetaPart,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MetaPart {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_token: String,
    annotations: std::collections::BTreeMap<String, String>,
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Decode(error.to_string().into()))
}

/// A published object; its own resourceVersion, where it has one, is its revision.
fn document(bytes: Bytes) -> Result<Document, Error> {
    let meta: Meta = decode(&bytes)?;
    let revision = meta.metadata.resource_version.parse().unwrap_or(0);
    Ok(Document::new(bytes, revision))
}

#[async_trait]
impl Transport for Remote {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        use http::Method;
        let target = path(
            &request.resource,
            request.namespace.as_deref(),
            request.name.as_deref(),
            request.subresource.as_deref(),
        );
        let json = "application/json";
        let request = match &request.verb {
            Verb::Get => build(Method::GET, target, json, None),
            Verb::Create { object, options } => {
                build(Method::POST, with_query(target, &write_query(options)), json, Some(object))
            }
            Verb::Update { object, options } => {
                build(Method::PUT, with_query(target, &write_query(options)), json, Some(object))
            }
            Verb::Patch { kind, body, options } => {
                let mut query = write_query(options);
                if let PatchKind::Apply { force: true } = kind {
                    query.push(("force", "true".into()));
                }
                build(Method::PATCH, with_query(target, &query), kind.content_type(), Some(body))
            }
            Verb::Delete(options) => build(Method::DELETE, target, json, Some(&delete_body(options))),
            Verb::DeleteCollection { list, delete } => {
                build(Method::DELETE, with_query(target, &list_query(list)), json, Some(&delete_body(delete)))
            }
        };
        document(self.fetch(request).await?)
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        #[derive(Deserialize)]
        struct Items<'a> {
            metadata: MetaPart,
            // Absent and null both mean none.
            #[serde(borrow, default)]
            items: Option<Vec<&'a RawValue>>,
        }
        let target = with_query(path(resource, namespace, None, None), &list_query(options));
        let bytes = self.fetch(build(http::Method::GET, target, "", None)).await?;
        let list: Items = decode(&bytes)?;
        let items = list.items.unwrap_or_default();
        let items = items.into_iter().map(|item| document(bytes.slice_ref(item.get().as_bytes())));
        Ok(List {
            items: items.collect::<Result<_, _>>()?,
            revision: list.metadata.resource_version.parse().unwrap_or(0),
            continue_token: Some(list.metadata.continue_token).filter(|token| !token.is_empty()),
        })
    }

    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        let mut query = list_query(options);
        query.push(("watch", "true".into()));
        let target = with_query(path(resource, namespace, None, None), &query);
        let response = self.send(build(http::Method::GET, target, "", None)).await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let bytes = body.collect().await.map_err(|error| unreachable(&error))?.to_bytes();
            return Err(refusal(head.status, &bytes));
        }
        let frames = body.into_data_stream().boxed();
        Ok(stream::try_unfold(Lines { frames, buffer: BytesMut::new() }, |mut lines| async move {
            match lines.next().await? {
                Some(line) => Ok(Some((event(&line)?, lines))),
                None => Ok(None),
            }
        })
        .boxed())
    }
}

/// The lines of a body that arrives in frames.
struct Lines<S> {
    frames: S,
    buffer: BytesMut,
}

impl<S, E> Lines<S>
where
    S: stream::Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::error::Error,
{
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + at + 1).freeze();
                if line.len() > 1 {
                    return Ok(Some(line));
                }
                searched = 0;
                continue;
            }
            searched = self.buffer.len();
            match self.frames.next().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame),
                Some(Err(error)) => return Err(unreachable(&error)),
                // What stands behind the last line end is an event cut short.
                None => return Ok(None),
            }
        }
    }
}

fn event(line: &Bytes) -> Result<WatchEvent, Error> {
    #[derive(Deserialize)]
    struct Line<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let parsed: Line = decode(line)?;
    let object = line.slice_ref(parsed.object.get().as_bytes());
    let kind = match parsed.r#type {
        "ADDED" => WatchKind::Added,
        "MODIFIED" => WatchKind::Modified,
        "DELETED" => WatchKind::Deleted,
        "BOOKMARK" => WatchKind::Bookmark,
        "ERROR" => return Err(refusal(http::StatusCode::INTERNAL_SERVER_ERROR, &object)),
        other => return Err(Error::Decode(format!("an event of the unknown type {other:?}").into())),
    };
    let ends_initial_events = kind == WatchKind::Bookmark
        && decode::<Meta>(&object)?.metadata.annotations.contains_key("k8s.io/initial-events-end");
    Ok(WatchEvent { kind, object: document(object)?, ends_initial_events })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let deployments = Resource::new("apps", "v1", "deployments");
        assert_eq!(
            path(&deployments, Some("default"), Some("web"), Some("status")),
            "/apis/apps/v1/namespaces/default/deployments/web/status"
        );
        assert_eq!(path(&Resource::new("", "v1", "nodes"), None, Some("a"), None), "/api/v1/nodes/a");
        assert_eq!(
            with_query("/x".into(), &list_query(&ListOptions::fields("spec.nodeName=a b"))),
            "/x?fieldSelector=spec.nodeName%3Da%20b"
        );
    }

    #[tokio::test]
    async fn lines_survive_any_framing() {
        let text = b"{\"a\":1}\n{\"b\":2}\n\n{\"cut\":";
        for size in 1..text.len() {
            let frames: Vec<Result<Bytes, std::io::Error>> =
                text.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
            let mut lines = Lines { frames: stream::iter(frames), buffer: BytesMut::new() };
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                seen.push(line);
            }
            assert_eq!(seen, ["{\"a\":1}\n", "{\"b\":2}\n"]);
        }
    }

    #[test]
    fn an_error_tells_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Outer(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("ServiceError: {0}")]
        struct Outermost(#[source] Outer);
        let error = Outermost(Outer(std::io::Error::other("connection refused")));
        let told =
            "the API server cannot be reached: ServiceError: client error (Connect): connection refused";
        assert_eq!(unreachable(&error).to_string(), told);
    }

    #[test]
    fn an_error_event_is_its_status() {
        let line = Bytes::from_static(
            br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#,
        );
        let error = event(&line).unwrap_err();
        assert!(error.is_expired(), "{error:?}");
    }
}
