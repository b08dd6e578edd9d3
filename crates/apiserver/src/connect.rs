//! Streams to nodes (logs, exec, attach, port-forward) and proxies to nodes,
//! pods and services: found here, then passed through byte for byte.

use apimachinery::Status;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

use crate::body::Body;
use crate::endpoint::{self, Endpoint};
use crate::generic::Target;
use crate::negotiate::Wanted;
use crate::pipeline::Head;
use crate::route::Route;
use crate::{Action, ApiServer, NodeConnector, NodeStream, SubresourceKind, UserInfo, respond};

type Sent = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

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

impl ApiServer {
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
        match self.connected(head, route, target, &user, body).await {
            Ok(response) => response,
            Err(status) => respond::status(&status, Wanted::JSON),
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
        let Some(connector) = self.connector.load().as_ref().clone() else {
            return Err(Status::service_unavailable(
                "this server has no way to nodes: it serves the API alone",
            ));
        };
        let view = self.view();
        let streams = matches!(
            target.subresource().map(|subresource| &subresource.kind),
            Some(SubresourceKind::PodStream)
        );
        let endpoint = if streams {
            let upgrades = target.subresource != "log";
            if upgrades && head.method == Method::GET {
                // A command may not be run with the right to read alone.
                self.allow(&create_action(user, target), &view)?;
            }
            endpoint::of_pod_stream(&view, target, &head.query)?
        } else {
            endpoint::of_proxy(&view, target, route, head.query.text(), &*self.edge.random)?
        };
        drop(view);
        let stream = dial(&*connector, &endpoint).await?;
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let request = forwarded(&head, &endpoint, body)?;
        self.exchange(stream, request, upgrade).await
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

async fn dial(connector: &dyn NodeConnector, endpoint: &Endpoint) -> Result<Box<dyn NodeStream>, Status> {
    let dialed = match endpoint {
        Endpoint::Node { name, object, .. } => connector.connect_node(name, object.clone()).await,
        Endpoint::Address { address, port, tls, .. } => connector.connect_address(address, *port, *tls).await,
    };
    dialed.map_err(|why| match endpoint {
        Endpoint::Node { .. } => Status::internal(why),
        Endpoint::Address { .. } => {
            Status::service_unavailable(format!("error trying to reach service: {why}"))
        }
    })
}

/// The right to create, asked for where a GET opens a stream.
fn create_action<'a>(user: &'a UserInfo, target: &'a Target) -> Action<'a> {
    Action {
        user,
        verb: "create",
        is_resource: true,
        group: &target.resource.group,
        version: &target.version().name,
        resource: &target.resource.resource,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
        path: "",
        field_selector: "",
        label_selector: "",
    }
}

/// The client's request as it goes on to the endpoint.
fn forwarded<B>(head: &Head, endpoint: &Endpoint, body: B) -> Result<Request<Sent>, Status>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (path, host) = match endpoint {
        Endpoint::Node { path, name, .. } => (path, name.clone()),
        Endpoint::Address { path, address, port, .. } => (path, format!("{address}:{port}")),
    };
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
