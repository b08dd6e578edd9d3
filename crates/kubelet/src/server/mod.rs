//! The node server: what the API server (and monitoring) asks a node for.
//!
//! It is handed requests and gives responses; the listener and TLS are the
//! assembly's. Everything but /healthz is authorised by the API.

mod auth;
mod exec;
mod log;
mod log_filter;
mod metrics;
mod query;
mod stats;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::core::v1::Pod;

use crate::kubelet::Kubelet;
use crate::pod::worker::Snapshot;

pub use auth::Caller;

/// A response's body; logs come as they are written.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Answers requests to the node. Clones share everything.
#[derive(Clone)]
pub struct NodeServer {
    kubelet: Arc<Kubelet>,
    rates: Arc<stats::Rates>,
}

/// An answer that ends a request early: status and plain sentence.
#[derive(Debug)]
struct Refusal(StatusCode, String);

type Answer = Result<Response<Body>, Refusal>;

impl NodeServer {
    pub fn new(kubelet: Arc<Kubelet>) -> Self {
        Self { kubelet, rates: Arc::default() }
    }

    /// Answers one request of `caller`. Upgrades go on in the kubelet's tasks
    /// after the response was returned.
    pub async fn handle<B: Send + 'static>(
        &self,
        mut request: Request<B>,
        caller: &Caller,
    ) -> Response<Body> {
        let answer = self.route(&mut request, caller).await;
        answer.unwrap_or_else(|Refusal(status, why)| {
            let mut response = text(why);
            *response.status_mut() = status;
            response
        })
    }

    async fn route<B: Send + 'static>(&self, request: &mut Request<B>, caller: &Caller) -> Answer {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        if let ["healthz"] | ["healthz", "ping"] = parts[..] {
            return Ok(text("ok".into()));
        }
        auth::check(&self.kubelet.context, request.method(), request.headers(), &path, caller).await?;
        let reading = request.method() == Method::GET;
        match parts[..] {
            ["healthz", "syncloop"] => Ok(text("ok".into())),
            ["pods"] if reading => Ok(self.pods()),
            ["containerLogs", namespace, pod, container] if reading => {
                let snapshot = self.find(namespace, pod)?;
                self.container_logs(request, &snapshot, container)
            }
            ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
                let snapshot = self.find(namespace, pod)?;
                self.exec(request, &snapshot, container)
            }
            ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
                let snapshot = self.find(namespace, pod)?;
                self.attach(request, &snapshot, container)
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                let snapshot = self.find(namespace, pod)?;
                self.port_forward(request, &snapshot)
            }
            ["run", namespace, pod, container] | ["run", namespace, pod, _, container] if !reading => {
                let snapshot = self.find(namespace, pod)?;
                self.run(request, &snapshot, container).await
            }
            ["stats", "summary"] => Ok(json(&self.summary().await)),
            ["metrics"] if reading => Ok(text(self.metrics())),
            ["metrics", "resource"] if reading => Ok(text(self.resource_metrics().await)),
            ["metrics", ..] | ["stats", ..] => Err(not_found("404 page not found")),
            _ => Err(not_found("404 page not found")),
        }
    }

    fn find(&self, namespace: &str, name: &str) -> Result<Arc<Snapshot>, Refusal> {
        let found = self.kubelet.manager.find(namespace, name);
        found.ok_or_else(|| not_found(format!("pod {name:?} does not exist")))
    }

    fn pods(&self) -> Response<Body> {
        let pods: Vec<Arc<Pod>> = self.kubelet.pods();
        let items: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        json(&serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }
}

/// The id of a container that runs.
fn running(snapshot: &Snapshot, container: &str) -> Result<runtime::ContainerId, Refusal> {
    let found = snapshot.containers.iter().find(|one| one.name == container && one.running);
    found.map(|one| one.id.clone()).ok_or_else(|| {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({container:?})"))
    })
}

fn not_found(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, why.into())
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn text(text: String) -> Response<Body> {
    let mut response = Response::new(body(text));
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(body(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A refused upgrade.
impl From<streaming::Error> for Refusal {
    fn from(error: streaming::Error) -> Self {
        Refusal(StatusCode::BAD_REQUEST, error.to_string())
    }
}

/// The 101 of an accepted upgrade.
fn switching(response: Response<()>) -> Response<Body> {
    response.map(|()| body(Bytes::new()))
}
