//! A server of three kinds for tests, and requests to it.

use std::sync::Arc;

use api::facts;
use apimachinery::{Status, Value};
use apiserver::{
    Action, Admission, AdmissionPlugin, ApiServer, Authorizer, Body, Catalogue, Context, Decision,
    Definition, DeleteOptions, Grace, Notes, Operation, Plain, Plugin, Scale, ScaleSelector, Scope,
    Selectable, SharedCatalogue, Storage, Strategy, Subresource, SubresourceKind, Version, View,
};
use edge::Edge;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serve::Peer;
use store::{Memory, MemoryOptions};

/// Anonymous may do everything but read secrets.
struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, action: &Action<'_>, _: &View) -> Decision {
        if action.resource == "secrets" { Decision::no_opinion("") } else { Decision::allow("") }
    }
}

/// Nobody may run `rm` in a pod; the refusal tells all options.
struct NoRemoval;

impl AdmissionPlugin for NoRemoval {
    fn name(&self) -> &'static str {
        "NoRemoval"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.operation == Operation::Connect
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let command: Vec<&str> = object["command"].items().iter().map(Value::text).collect();
        if command.first() != Some(&"rm") || object["kind"].text() != "PodExecOptions" {
            return Ok(());
        }
        let why = format!(
            "{} in {}, stdin {}, stdout {}",
            command.join(" "),
            object["container"].text(),
            object["stdin"].is_true(),
            object["stdout"].is_true()
        );
        Err(admission.forbid(object, why))
    }
}

struct Pods;

impl Strategy for Pods {
    fn has_generation(&self) -> bool {
        true
    }

    fn grace(&self, _: &Context<'_>, object: &Value, options: &DeleteOptions) -> Grace {
        if object["spec"]["nodeName"].text().is_empty() {
            return Grace::None;
        }
        Grace::Seconds(options.grace_period_seconds.unwrap_or(30))
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

struct Generations;

impl Strategy for Generations {
    fn has_generation(&self) -> bool {
        true
    }
}

fn definition(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    strategy: Arc<dyn Strategy>,
) -> Definition {
    let schema = facts::types().kind(group, "v1", kind);
    let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    Definition {
        group: group.into(),
        resource: resource.into(),
        singular: kind.to_lowercase().into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope: Scope::Namespaced,
        verbs: verbs.iter().map(|verb| (*verb).into()).collect(),
        versions: vec![Version {
            name: "v1".into(),
            schema,
            columns: Vec::new(),
            deprecation: None,
            conversion: None,
            structural: None,
        }],
        storage: Storage::Stored {
            prefix: format!("/registry/{resource}/").into(),
            api_version: api_version.into(),
            schema,
        },
        subresources: Vec::new(),
        selectable: Vec::new(),
        ineffective: &[],
        strategy,
        since: 0,
    }
}

fn status() -> Subresource {
    let verbs = ["get", "patch", "update"].iter().map(|verb| (*verb).into()).collect();
    Subresource { name: "status".into(), kind: SubresourceKind::Status, verbs, body: None }
}

fn definitions() -> Vec<Definition> {
    let mut pods = definition("", "pods", "Pod", Arc::new(Pods));
    pods.subresources.push(status());
    pods.subresources.push(Subresource {
        name: "exec".into(),
        kind: SubresourceKind::PodStream,
        verbs: vec!["create".into(), "get".into()],
        body: Some(("".into(), "v1".into(), "PodExecOptions".into())),
    });
    pods.selectable = vec![Selectable::new("spec.nodeName").triggering(), Selectable::new("status.phase")];
    let mut deployments = definition("apps", "deployments", "Deployment", Arc::new(Generations));
    deployments.subresources.push(status());
    let path = |names: &[&'static str]| names.iter().map(|name| (*name).into()).collect();
    deployments.subresources.push(Subresource {
        name: "scale".into(),
        kind: SubresourceKind::Scale(Scale {
            replicas: path(&["spec", "replicas"]),
            status_replicas: path(&["status", "replicas"]),
            selector: ScaleSelector::Structured(path(&["spec", "selector"])),
        }),
        verbs: status().verbs,
        body: None,
    });
    vec![
        definition("", "configmaps", "ConfigMap", Arc::new(Plain)),
        definition("", "secrets", "Secret", Arc::new(Plain)),
        pods,
        deployments,
    ]
}

pub struct Tested {
    pub server: Arc<ApiServer>,
    peer: Peer,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub text: String,
    pub warnings: Vec<String>,
    pub headers: http::HeaderMap,
}

impl Tested {
    pub fn new() -> Self {
        let start = "2026-01-02T03:04:05Z".parse().expect("a time");
        let edge = Edge::simulated(7, start);
        let catalogue: SharedCatalogue =
            Arc::new(arc_swap::ArcSwap::from_pointee(Catalogue::new(definitions())));
        let store = Memory::start(MemoryOptions { edge: edge.clone(), limits: store::Limits::default() });
        let server = ApiServer::builder(store, catalogue, edge)
            .authorizers([Arc::new(Everyone) as Arc<dyn Authorizer>])
            .plugins([Plugin::Local(Arc::new(NoRemoval))])
            .build(&[]);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        Self { server, peer: Peer::new(address, Arc::default()) }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        let mut request = Request::new(Full::new(bytes::Bytes::from(body.to_owned())));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
        *request.uri_mut() = path.parse().expect("a path");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a header");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        self.server.handle(request, &self.peer).await
    }

    /// Sends a body as it comes.
    pub async fn send_body<B>(&self, method: &str, path: &str, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
        *request.uri_mut() = path.parse().expect("a path");
        self.server.handle(request, &self.peer).await
    }

    pub async fn ask_as(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let response = self.send(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let warnings = parts.headers.get_all("warning").iter();
        let warnings = warnings.map(|value| value.to_str().unwrap_or("").to_owned()).collect();
        Answer {
            code: parts.status.as_u16(),
            body: apimachinery::json::parse_ordered(&bytes).unwrap_or_default(),
            text,
            warnings,
            headers: parts.headers,
        }
    }

    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as(method, path, &[], body).await
    }

    pub async fn patch(&self, kind: &str, path: &str, body: &str) -> Answer {
        self.ask_as("PATCH", path, &[("content-type", kind)], body).await
    }

    /// Creates a ConfigMap in namespace `n`.
    pub async fn config_map(&self, name: &str, labels: &str) -> Answer {
        let body = format!(
            r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","labels":{{{labels}}}}}}}"#
        );
        let made = self.ask("POST", "/api/v1/namespaces/n/configmaps", &body).await;
        assert_eq!(made.code, 201, "{}", made.text);
        made
    }
}

pub fn names(list: &Value) -> Vec<&str> {
    list["items"].items().iter().map(|item| item["metadata"]["name"].text()).collect()
}
