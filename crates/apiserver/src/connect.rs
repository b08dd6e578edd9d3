//! Streams to nodes (logs, exec, attach, port-forward) and proxies to nodes,
//! pods and services: found here, then passed through, but for the links of
//! pages that came through a proxy.

use std::io::{Read, Write};
use std::sync::Arc;

use api::facts;
use apimachinery::schema::{self, Strictness, Type};
use apimachinery::status::GroupResource;
use apimachinery::{Status, Value};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::endpoint::{self, Endpoint};
use crate::extend::node::node_address;
use crate::generic::{Options, Target};
use crate::links::Prefix;
use crate::pipeline::Head;
use crate::query::Query;
use crate::route::Route;
use crate::{
    Action, Admission, ApiServer, NodeConnector, NodeStream, Notes, Operation, SubresourceKind, UserInfo,
    View, respond,
};

type Sent = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Bytes of a node's page that the API server reads for itself.
const MOST_OF_A_PAGE: usize = 16 << 20;

/// Headers that belong to one connection (RFC 9110, 7.6.1), and proofs of
/// identity, which are never passed on.
const OWN: [&str; 10] = [
    "authorization",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "host",
];

/// What a proxied server says about scripts of other origins would speak for
/// this server.
const OF_OTHER_ORIGINS: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

/// Most that is read of a node's refusal.
const LONGEST_REFUSAL: usize = 50_000;
/// Largest page whose links are rewritten.
const LARGEST_PAGE: usize = 16 << 20;

impl ApiServer {
    /// Asks the server of a node for a page, as the API server.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    pub async fn ask_node(&self, name: &str, node: Arc<Value>, path: &str) -> Result<Bytes, String> {
        let Some(connector) = self.connector.load().as_ref().clone() else {
            return Err("this server has no way to nodes: it serves the API alone".into());
        };
        let stream = connector.connect_node(name, node).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        self.edge.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a node ended");
            }
        });
        let request = Request::get(path)
            .header(header::HOST, name)
            .body(http_body_util::Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("request failed, status: {:?}", answer.status().to_string()));
        }
        let body = http_body_util::Limited::new(answer.into_body(), MOST_OF_A_PAGE).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
    }

    /// Answers a request for a stream or a proxy.
    pub(crate) async fn connect<B>(
        &self,
        head: Head,
        route: &Route,
        target: &Target,
        user: Arc<UserInfo>,
        body: B,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refused = self.wanted_or_json(&head);
        match self.connected(head, route, target, &user, body).await {
            Ok(response) => response,
            Err(status) => respond::status(&status, refused),
        }
    }

    async fn connected<B>(
        &self,
        mut head: Head,
        route: &Route,
        target: &Target,
        user: &UserInfo,
        body: B,
    ) -> Result<Response<Body>, Status>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let view = self.view();
        let streams = matches!(
            target.subresource().map(|subresource| &subresource.kind),
            Some(SubresourceKind::PodStream)
        );
        let asks_upgrade = head.headers.contains_key(header::UPGRADE);
        let endpoint = if streams {
            let upgrades = target.subresource != "log";
            if upgrades && head.method == Method::GET {
                // A command may not be run with the right to read alone.
                self.allow(&create_action(user, target), &view)?;
            }
            if target.subresource == "portforward" {
                endpoint::ports(&head.query)?;
            }
            if upgrades {
                self.admit_connection(target, route, &head.query, user, &view).await?;
            }
            match endpoint::of_pod_stream(&view, target, &head.query)? {
                Some(_) if upgrades && !asks_upgrade => {
                    return Err(Status::bad_request("Upgrade request required"));
                }
                Some(endpoint) => endpoint,
                // Nothing runs yet that could have written something.
                None => return Ok(answered(StatusCode::NO_CONTENT)),
            }
        } else {
            self.admit_connection(target, route, &head.query, user, &view).await?;
            endpoint::of_proxy(&view, target, route, head.query.text(), &*self.edge.random)?
        };
        drop(view);
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if !streams && route.rest.is_empty() && reads && !asks_upgrade {
            // Relative links of the page need the slash.
            return Ok(moved(&head));
        }
        let Some(connector) = self.connector.load().as_ref().clone() else {
            return Err(Status::service_unavailable(
                "this server has no way to nodes: it serves the API alone",
            ));
        };
        let stream = dial(&*connector, target, &endpoint).await?;
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let mut request = forwarded(&head, &endpoint, body)?;
        if streams {
            let response = self.exchange(stream, request, upgrade).await?;
            return if target.subresource == "log" { checked(target, response).await } else { Ok(response) };
        }
        let path = proxy_path(&head.path, &route.rest);
        let client_host = host(&head).to_owned();
        introduce(request.headers_mut(), path, &route.rest, &client_host);
        let response = self.exchange(stream, request, upgrade).await?;
        let prefix = Prefix { path, own_host: &client_host, backend_host: &endpoint.host() };
        through_proxy(response, &prefix).await
    }

    /// Admission of a connection, whose object is its options.
    async fn admit_connection(
        &self,
        target: &Target,
        route: &Route,
        query: &Query,
        user: &UserInfo,
        view: &View,
    ) -> Result<(), Status> {
        let mut options = connect_options(target, route, query);
        let asked = options.clone();
        let admission = Admission {
            operation: Operation::Connect,
            definition: &target.resource,
            version: target.version(),
            namespace: &target.namespace,
            name: &target.name,
            requested: &target.name,
            subresource: &target.subresource,
            user,
            old: None,
            options: Options::NONE,
            dry_run: false,
            view,
            random: &*self.edge.random,
            now: self.edge.clock.now(),
        };
        let mut notes = Notes::default();
        self.mutate(&admission, &target.resource, &mut options, &mut notes).await?;
        self.validate(&admission, &options, &mut notes).await?;
        if options != asked {
            // The client's own query goes on to the node: nothing is obeyed by half.
            return Err(Status::internal("admission changed the options of a connection, which cannot be"));
        }
        Ok(())
    }

    /// Sends the request over `stream`; where the other side switches
    /// protocols, both connections are tied together.
    async fn exchange(
        &self,
        stream: Box<dyn NodeStream>,
        request: Request<Sent>,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<Body>, Status> {
        let unreachable = |error: hyper::Error| {
            Status::service_unavailable(format!("error trying to reach service: {error}"))
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        self.edge.tasks.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a node or a pod ended");
            }
        });
        let mut answer = sender.send_request(request).await.map_err(unreachable)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (parts, body) = answer.into_parts();
            let chunks = body.into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
            let mut response = Response::new(Body::Stream(chunks.boxed()));
            *response.status_mut() = parts.status;
            *response.headers_mut() = passed_on(&parts.headers, false);
            return Ok(response);
        }
        let Some(client) = upgrade else {
            return Err(Status::bad_request("unable to upgrade: the connection cannot be taken over"));
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = passed_on(answer.headers(), true);
        let node = hyper::upgrade::on(&mut answer);
        self.edge.tasks.spawn(async move {
            // The sender keeps the node's connection alive until it is taken over.
            let _sender = sender;
            let (client, node) = match futures::future::try_join(client, node).await {
                Ok(both) => both,
                Err(error) => return tracing::debug!(%error, "an upgrade failed"),
            };
            let mut ends = (TokioIo::new(client), TokioIo::new(node));
            if let Err(error) = tokio::io::copy_bidirectional(&mut ends.0, &mut ends.1).await {
                tracing::debug!(%error, "a stream to a node ended");
            }
        });
        Ok(response)
    }
}

async fn dial(
    connector: &dyn NodeConnector,
    target: &Target,
    endpoint: &Endpoint,
) -> Result<Box<dyn NodeStream>, Status> {
    let dialed = match endpoint {
        Endpoint::Node { name, object, .. } => connector.connect_node(name, object.clone()).await,
        Endpoint::Address { address, port, tls, .. } => connector.connect_address(address, *port, *tls).await,
    };
    dialed.map_err(|why| match endpoint {
        // Upstream gives the error of its client as it is.
        Endpoint::Node { object, path, .. } if target.subresource == "log" => match node_address(object) {
            Ok((address, port)) => Status::unknown(format!("Get \"https://{address}:{port}{path}\": {why}")),
            Err(status) => status,
        },
        Endpoint::Node { .. } => Status::internal(why),
        Endpoint::Address { .. } => {
            Status::service_unavailable(format!("error trying to reach service: {why}"))
        }
    })
}

/// The options of a connection (PodExecOptions, ServiceProxyOptions …) as its
/// query says them; null where the subresource has none.
fn connect_options(target: &Target, route: &Route, query: &Query) -> Value {
    let types = facts::types();
    let body = target.subresource().and_then(|subresource| subresource.body.as_ref());
    let Some((group, version, kind)) = body else { return Value::Null };
    let Some(schema) = types.kind(group, version, kind) else { return Value::Null };
    let mut options = Value::object();
    options.set("kind", kind.as_ref());
    options.set("apiVersion", version.as_ref());
    for field in types.get(schema).fields.iter().filter(|field| !matches!(field.json, "kind" | "apiVersion"))
    {
        let texts = || query.all(field.json);
        let value = match field.ty {
            Type::Bool => query.is_set(field.json).into(),
            Type::String if field.json == "path" => route.rest.as_str().into(),
            Type::String => query.get(field.json).unwrap_or("").into(),
            Type::List(Type::String) => Value::Array(texts().map(Value::from).collect()),
            Type::List(Type::Int32) => {
                let ports = endpoint::ports(query).unwrap_or_default().into_iter();
                Value::Array(ports.map(|port| Value::from(i64::from(port))).collect())
            }
            _ => continue,
        };
        options.set(field.json, value);
    }
    // Options are made of a query, and only then written by the rules of their type.
    let _ = schema::normalize(types, schema, &mut options, Strictness::Ignore);
    options
}

/// The right to create, asked for where a GET opens a stream.
fn create_action<'a>(user: &'a UserInfo, target: &'a Target) -> Action<'a> {
    Action {
        version: &target.version().name,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
        ..Action::on(user, "create", &target.resource.group, &target.resource.resource)
    }
}

/// The name by which the client asked for this server.
fn host(head: &Head) -> &str {
    head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

fn answered(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// To the same path with a slash at its end.
fn moved(head: &Head) -> Response<Body> {
    let query = head.query.text();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut response = answered(StatusCode::MOVED_PERMANENTLY);
    // The path came as part of a URI: it is a value of a header, too.
    if let Ok(place) = HeaderValue::from_str(&format!("{}/{mark}{query}", head.path)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// What of the path leads to the proxy and not on to the endpoint.
fn proxy_path<'a>(path: &'a str, rest: &str) -> &'a str {
    path.strip_suffix(rest).unwrap_or(path).trim_end_matches('/')
}

/// Says to a proxied server who is asked for it, and how.
fn introduce(headers: &mut HeaderMap, path: &str, rest: &str, client_host: &str) {
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    add(HeaderName::from_static("x-forwarded-uri"), &format!("{path}{rest}"));
    // Servers of several names look at the one that the client used.
    if !client_host.is_empty() {
        add(header::HOST, client_host);
    }
}

/// The node's refusal of a log as a Status.
async fn checked(target: &Target, response: Response<Body>) -> Result<Response<Body>, Status> {
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let read = Limited::new(response.into_body(), LONGEST_REFUSAL).collect().await;
    let bytes = read.map_err(Status::internal)?.to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Err(match status {
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        other => Status::of_response(
            other.as_u16(),
            &text,
            GroupResource { group: "", resource: "pods/log" },
            &target.name,
        ),
    })
}

/// What a proxied server answers, for a client that does not know the server.
async fn through_proxy(mut response: Response<Body>, prefix: &Prefix<'_>) -> Result<Response<Body>, Status> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let headers = response.headers_mut();
    for name in OF_OTHER_ORIGINS {
        headers.remove(name);
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text(header::LOCATION).is_empty() {
        let place = prefix.link(text(header::LOCATION)).and_then(|place| HeaderValue::from_str(&place).ok());
        if let Some(place) = place {
            headers.insert(header::LOCATION, place);
        }
        return Ok(response);
    }
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let coding = text(header::CONTENT_ENCODING).to_owned();
    // Pages in other codings are handed on as they are.
    if kind != "text/html" || !matches!(&*coding, "" | "gzip" | "deflate") {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let failed = |error: &dyn std::fmt::Display| {
        Status::service_unavailable(format!("error trying to reach service: {error}"))
    };
    let read = Limited::new(body, LARGEST_PAGE).collect().await.map_err(|error| failed(&error))?;
    let page = decoded(&read.to_bytes(), &coding).map_err(|error| failed(&error))?;
    let page = coded(&prefix.page(&page), &coding).map_err(|error| failed(&error))?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::Full(page.into())))
}

fn decoded(bytes: &[u8], coding: &str) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // A small body may unpack to any size.
    let most = LARGEST_PAGE as u64;
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).take(most).read_to_end(&mut page)?,
        "deflate" => flate2::read::DeflateDecoder::new(bytes).take(most).read_to_end(&mut page)?,
        _ => return Ok(bytes.to_vec()),
    };
    Ok(page)
}

fn coded(page: &[u8], coding: &str) -> std::io::Result<Vec<u8>> {
    let level = flate2::Compression::default();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(page)?;
            encoder.finish()
        }
        "deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(page)?;
            encoder.finish()
        }
        _ => Ok(page.to_vec()),
    }
}

/// The client's request as it goes on to the endpoint.
fn forwarded<B>(head: &Head, endpoint: &Endpoint, body: B) -> Result<Request<Sent>, Status>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (path, host) = (endpoint.path(), endpoint.host());
    let uri: Uri =
        path.parse().map_err(|_| Status::bad_request(format!("the path {path:?} cannot be asked for")))?;
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = passed_on(&head.headers, head.headers.contains_key(header::UPGRADE));
    if let Ok(host) = HeaderValue::from_str(&host) {
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// The headers that pass through; those of an upgrade only where it is one.
fn passed_on(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let passes = |name: &HeaderName| {
        let text = name.as_str();
        !OWN.contains(&text)
            && !text.starts_with("impersonate-")
            && !text.starts_with("x-remote-")
            && (upgrades || (name != header::CONNECTION && name != header::UPGRADE))
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
