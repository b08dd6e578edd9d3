//! The way of a request, from top to bottom:
//!
//! authentication → audit → impersonation → flow control → authorization →
//! the engine (`dispatch.rs`, `generic/`) → answer (`respond.rs`).
//!
//! Audit has its place between authentication and impersonation and writes
//! nothing yet.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use bytes::Bytes;
use client::PatchKind;
use futures::FutureExt;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serve::Peer;
use tokio::time::Instant;

use crate::body::Body;
use crate::dispatch::{self, PatchBody, Work};
use crate::flow::{Asked, Schemas};
use crate::generic::{Caller, Target};
use crate::metrics::{self, Counted, Proof};
use crate::negotiate::{self, Answer, Served, Shape, Wanted};
use crate::query::Query;
use crate::route::{self, Route};
use crate::{Action, ApiServer, Credentials, Identity, SubresourceKind, UserInfo, Verdict, View, respond};

/// The longest body of a request (upstream's limit).
const MAX_BODY: usize = 3 * 1024 * 1024;
/// How much more of a body that is too long is read and dropped.
const DRAINED: usize = 8 * 1024 * 1024;
/// How long a request that is no watch or stream may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// By which audit knows a request; told of every one.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What the log of a pod may be asked for as.
const LOGS: [&str; 4] = ["text/plain", negotiate::JSON, negotiate::YAML, negotiate::PROTOBUF];

/// The media type of an apply.
const APPLY: &str = "application/apply-patch+yaml";

/// How long a request may work.
struct Allotted {
    started: Instant,
    allotted: Duration,
    /// A watch or a stream, which ends otherwise.
    is_long: bool,
}

/// The head of a request, and what was found out about it.
pub(crate) struct Head {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub extensions: http::Extensions,
}

impl ApiServer {
    /// Answers one request. A panic on the way ends this request alone.
    pub async fn handle<B>(&self, request: Request<B>, peer: &Peer) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let audit_id = self.audit_id(request.headers());
        let mut response = match AssertUnwindSafe(self.walk(request, peer)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                self.metrics.panicked();
                tracing::error!("a request ended in a panic");
                respond::status(
                    &Status::internal("the server met a bug while it worked on this request"),
                    Wanted::JSON,
                )
            }
        };
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, audit_id);
        headers.entry(CACHE_CONTROL).or_insert(respond::NOT_KEPT);
        response
    }

    /// By which audit knows the request: as the client named it, or a new one.
    fn audit_id(&self, headers: &HeaderMap) -> HeaderValue {
        let named = headers.get(AUDIT_ID).filter(|named| !named.is_empty());
        let made = || HeaderValue::try_from(self.new_uid());
        named.cloned().or_else(|| made().ok()).unwrap_or(HeaderValue::from_static(""))
    }

    async fn walk<B>(&self, request: Request<B>, peer: &Peer) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        // HTTP/2 has the name of the server elsewhere.
        if let Some(authority) = parts.uri.authority()
            && !parts.headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            parts.headers.insert(HOST, host);
        }
        let head = Head {
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or("")),
            method: parts.method,
            headers: parts.headers,
            extensions: parts.extensions,
        };
        let route = route::parse(&head.path);
        if let Some(text) = route::no_place(&head.path) {
            return respond::text(500, text);
        }
        let verb = verb(&head, route.as_ref());
        let is_long = verb == "watch" || route.as_ref().is_some_and(is_stream);
        let asked = if is_long { Ok(None) } else { head.query.timeout() };
        let allotted = match asked {
            Ok(asked) => asked.unwrap_or(REQUEST_TIMEOUT).min(REQUEST_TIMEOUT),
            Err(status) => return respond::status(&status, self.wanted_or_json(&head)),
        };
        let view = self.view();

        // authentication
        let identity = match self.authenticate(&head, peer, &view) {
            Ok(identity) => identity,
            Err(status) => return respond::status(&status, self.wanted_or_json(&head)),
        };
        // impersonation
        let user = match self.impersonate(&head, route.as_ref(), verb, identity.user, &view) {
            Ok(user) => user,
            Err(status) => return respond::refused(&status, self.wanted_or_json(&head)),
        };
        // flow control
        let flow = (!is_long || verb == "watch").then(|| {
            let method = head.method.as_str();
            view.derived::<Schemas>()
                .of(&user, &Asked { route: route.as_ref(), verb, method, path: &head.path })
        });
        let work = Allotted { started, allotted, is_long };
        let mut response = self.authorized(head, route, verb, user, view, body, work).await;
        if let Some(flow) = flow {
            flow.mark(response.headers_mut());
        }
        response
    }

    /// What follows the choice of the flow: its place, authorization and the work itself.
    #[allow(clippy::too_many_arguments)] // the parts of one request
    async fn authorized<B>(
        &self,
        head: Head,
        route: Option<Route>,
        verb: &'static str,
        user: Arc<UserInfo>,
        view: View,
        body: B,
        Allotted { started, allotted, is_long }: Allotted,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let place = if is_long { None } else { self.flow.enter() };
        if !is_long && place.is_none() {
            let served = route.as_ref().filter(|route| self.serves(route));
            let counted = Counted::given_up(served, &head.path, asked(&head, verb));
            self.metrics.terminated(&counted, 429);
            return respond::status(&Status::too_many_requests_generic(), Wanted::JSON);
        }
        // authorization
        if let Err(status) = self.may("", &head, route.as_ref(), verb, &user, &view) {
            return respond::refused(&status, self.wanted_or_json(&head));
        }
        drop(view);
        if self.is_delegated(&head.path) {
            // Whom the API service names is never asked yet, and so never available.
            return respond::text(503, "service unavailable\n");
        }

        let writes = match &route {
            Some(_) => !matches!(verb, "get" | "list" | "watch"),
            None => !matches!(head.method, Method::GET | Method::HEAD),
        };
        let gauge = self.metrics.enter(writes);
        // Only what is served has series of its own: clients make up names without end.
        let kept = route.clone().filter(|route| self.serves(route));
        let path = if route.is_none() { head.path.clone() } else { String::new() };
        let counted = match (&route, &kept) {
            (Some(_), None) => None,
            _ => Counted::served(kept.as_ref(), &path, asked(&head, verb)),
        };
        let given_up = Counted::given_up(kept.as_ref(), &path, asked(&head, verb));
        let response = match route {
            None => self.serve_path(&head, &user).await,
            Some(route) if is_long => self.serve_resource(head, route, verb, user, body).await,
            Some(route) => {
                // What is over before it begins is not begun.
                let left = allotted.checked_sub(started.elapsed()).filter(|left| !left.is_zero());
                let serving = self.serve_resource(head, route, verb, user, body);
                let served = match left {
                    Some(left) => tokio::time::timeout(left, serving).await.ok(),
                    None => None,
                };
                served.unwrap_or_else(|| {
                    self.metrics.terminated(&given_up, 504);
                    respond::timed_out()
                })
            }
        };
        drop(gauge);
        let Some(counted) = counted else { return response };
        self.metrics.count(&counted, response.status().as_u16(), (!is_long).then(|| started.elapsed()));
        if is_long {
            let open = self.metrics.open(&counted);
            return response.map(|body| body.guarded(open));
        }
        if !writes && let Some(bytes) = response.body().size_hint().exact() {
            self.metrics.sent(&counted, usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        response
    }

    /// Whether there is such a resource, and such a subresource of it.
    fn serves(&self, route: &Route) -> bool {
        let catalogue = self.catalogue.load();
        let found = catalogue.find(&route.group, &route.version, &route.resource);
        found.is_some_and(|(resource, _)| {
            route.subresource.is_empty() || resource.subresource(&route.subresource).is_some()
        })
    }

    /// The form of a refusal.
    pub(crate) fn wanted_or_json(&self, head: &Head) -> Wanted {
        self.wanted_of(head, true)
    }

    /// As [`Self::wanted_or_json`], where there may be no protobuf.
    pub(crate) fn wanted_of(&self, head: &Head, protobuf: bool) -> Wanted {
        let served = Served { answer: Answer::Document, protobuf, table: false, routed: false };
        let wanted = negotiate::accept(&head.headers, served).unwrap_or(Wanted::UNASKED);
        Wanted { shape: Shape::Object, pretty: wanted.pretty || is_pretty(head), ..wanted }
    }

    /// The first authenticator that knows the proof; the certificate's answer
    /// is remembered with the connection.
    fn authenticate(&self, head: &Head, peer: &Peer, view: &View) -> Result<Identity, Status> {
        let started = Instant::now();
        let bearer = bearer(&head.headers);
        let has_own_proof = bearer.is_some() || head.headers.contains_key("x-remote-user");
        if !has_own_proof
            && let Some(known) = peer.memo.get()
            && let Some(identity) = known.downcast_ref::<Identity>()
            // A certificate may end while its connection is open.
            && identity.expires.is_none_or(|end| self.edge.clock.now() < end)
        {
            self.proven(identity, started);
            return Ok(identity.clone());
        }
        let credentials = Credentials {
            certificates: &peer.certificates,
            bearer: bearer.as_deref(),
            headers: &head.headers,
            now: self.edge.clock.now(),
        };
        let mut failed = false;
        for authenticator in &self.authenticators {
            match authenticator.authenticate(&credentials, view) {
                Ok(Some(mut identity)) => {
                    with_group(&mut identity.user, "system:authenticated");
                    self.proven(&identity, started);
                    if !has_own_proof {
                        // Another request of this connection may have been first.
                        let _ = peer.memo.set(Arc::new(identity.clone()));
                    }
                    return Ok(identity);
                }
                Ok(None) => {}
                Err(why) => {
                    failed = true;
                    self.metrics.authenticated(Proof::Failure, started.elapsed());
                    tracing::debug!(why, "a proof of identity does not hold");
                }
            }
        }
        if failed || bearer.is_some() || !self.anonymous {
            return Err(Status::unauthorized());
        }
        let user = Arc::new(UserInfo::new("system:anonymous", &["system:unauthenticated"]));
        Ok(Identity { user, audiences: Vec::new(), expires: None })
    }

    /// Counts a proof that holds.
    fn proven(&self, identity: &Identity, started: Instant) {
        self.metrics.authenticated(Proof::Success, started.elapsed());
        if let Some(expires) = identity.expires {
            let left = self.edge.clock.now().duration_until(expires);
            self.metrics.expires(left.try_into().unwrap_or_default());
        }
    }

    /// Whether the user may do what the request asks; `how` is put before the
    /// verb (`impersonate-on:user-info:`), mostly "".
    pub(crate) fn may(
        &self,
        how: &str,
        head: &Head,
        route: Option<&Route>,
        verb: &str,
        user: &Arc<UserInfo>,
        view: &View,
    ) -> Result<(), Status> {
        let selected;
        let prefixed;
        let name_may_be_selected = matches!(verb, "list" | "watch" | "deletecollection");
        let method = if route.is_some() { String::new() } else { head.method.as_str().to_ascii_lowercase() };
        let mut verb = if route.is_some() { verb } else { &method };
        if !how.is_empty() {
            prefixed = format!("{how}{verb}");
            verb = &prefixed;
        }
        let action = match route {
            Some(route) => {
                let mut name = route.name.as_str();
                if name.is_empty() && name_may_be_selected {
                    // A selector for one name is a request for that name.
                    selected = head
                        .query
                        .get("fieldSelector")
                        .and_then(|text| apimachinery::fields::Selector::parse(text).ok())
                        .and_then(|fields| fields.required("metadata.name").map(str::to_owned))
                        .unwrap_or_default();
                    name = &selected;
                }
                Action {
                    user,
                    verb,
                    is_resource: true,
                    group: &route.group,
                    version: &route.version,
                    resource: &route.resource,
                    subresource: &route.subresource,
                    namespace: &route.namespace,
                    name,
                    path: &head.path,
                    field_selector: head.query.get("fieldSelector").unwrap_or(""),
                    label_selector: head.query.get("labelSelector").unwrap_or(""),
                }
            }
            None => {
                Action { is_resource: false, version: "", path: &head.path, ..Action::on(user, verb, "", "") }
            }
        };
        self.allow(&action, view)
    }

    /// The refusal in upstream's words, unless the action is allowed.
    pub(crate) fn allow(&self, action: &Action<'_>, view: &View) -> Result<(), Status> {
        let started = Instant::now();
        let decision = self.authorize(action, view);
        self.metrics.authorized(&action.user.name, decision.verdict, started.elapsed());
        if decision.verdict == Verdict::Allow {
            return Ok(());
        }
        let mut why = action.refusal();
        if !decision.reason.is_empty() {
            why = format!("{why}: {}", decision.reason);
        }
        let resource = apimachinery::status::GroupResource { group: action.group, resource: action.resource };
        Err(Status::forbidden(resource, action.name, &why))
    }

    /// A path of a resource.
    async fn serve_resource<B>(
        &self,
        head: Head,
        route: Route,
        verb: &'static str,
        user: Arc<UserInfo>,
        body: B,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let catalogue = self.catalogue.load_full();
        let Some((resource, version)) = catalogue.find(&route.group, &route.version, &route.resource) else {
            // A custom group has no handler of its own for what it does not serve.
            let mut built_in = catalogue.resources().iter().filter(|resource| !resource.is_custom());
            if !built_in.any(|resource| resource.group == route.group) {
                return respond::no_such_page();
            }
            return respond::status(&Status::no_such_resource(), self.wanted_or_json(&head));
        };
        let has_protobuf = version.schema.is_some();
        let index = resource.versions.iter().position(|have| std::ptr::eq(have, version)).unwrap_or(0);
        let is_namespace = resource.group.is_empty() && resource.resource == "namespaces";
        let target = Target {
            resource: resource.clone(),
            version: index,
            namespace: if resource.is_namespaced() && !is_namespace {
                route.namespace.clone()
            } else {
                String::new()
            },
            name: route.name.clone(),
            subresource: route.subresource.clone(),
        };
        if target.resource.is_custom() && is_no_custom_path(&target, &route, verb) {
            return respond::no_such_page();
        }
        if let Err(status) = check_served(&target, &route, verb, &head.method) {
            // How a patch is written is looked at before what it is of.
            let odd = target.resource.is_custom() && verb == "patch" && target.name.is_empty();
            let status = if odd { patch_kind(&head, &target).err().unwrap_or(status) } else { status };
            let mut response = respond::status(&status, self.wanted_or_json(&head));
            if head.method == Method::HEAD {
                *response.body_mut() = Body::empty();
            }
            return response;
        }
        let kind = target.subresource().map(|subresource| &subresource.kind);
        if matches!(kind, Some(SubresourceKind::PodStream | SubresourceKind::Proxy)) {
            let refused = if !connects_by(&target, &head.method) {
                Some(Status::method_not_allowed())
            } else if &*target.subresource != "log" && head.query.get("dryRun").is_some() {
                Some(Status::bad_request("dryRun is not supported"))
            } else if &*target.subresource == "log" {
                negotiate::takes(&head.headers, &LOGS).err()
            } else {
                None
            };
            if let Some(status) = refused {
                return respond::status(&status, self.wanted_or_json(&head));
            }
            return self.connect(head, &route, &target, user, body).await;
        }
        let answer = match verb {
            "list" => Answer::List,
            "watch" => Answer::Watch,
            _ => Answer::Object,
        };
        // The object under other rules is no table, beside its status.
        let table = dispatch::handler(&target).is_none_or(|handler| handler.is_tabular())
            && !matches!(kind, Some(SubresourceKind::Object(_)));
        let served = Served { answer, protobuf: has_protobuf, table, routed: !target.resource.is_custom() };
        let wanted = match negotiate::accept(&head.headers, served) {
            Ok(wanted) => wanted,
            Err(status) => {
                let mut response = respond::status(&status, self.wanted_or_json(&head));
                let warning = target.version().deprecation.as_deref().unwrap_or("");
                respond::add_warnings(&mut response, &[warning.to_owned()]);
                return response;
            }
        };
        let wanted = Wanted { pretty: wanted.pretty || is_pretty(&head), ..wanted };
        // A refusal has no other shape than its own.
        let refused = if wanted.shape == Shape::Object { wanted } else { self.wanted_or_json(&head) };
        let wanted = match with_include(wanted, &head) {
            Ok(wanted) => wanted,
            Err(status) => return respond::status(&status, refused),
        };
        let gzip = respond::takes_gzip(&head.headers);
        let is_head = head.method == Method::HEAD;
        // Told instead of the answer, and so after the work is done, as upstream does.
        let fits = fits_list(wanted, verb, &target, &head.headers);
        let mut warnings = Vec::new();
        let outcome = self.run(head, target, verb, user, body, has_protobuf, &mut warnings).await;
        let mut response = outcome
            .and_then(|outcome| fits.map(|()| outcome))
            .and_then(|outcome| self.respond(outcome, resource, index, wanted, gzip))
            .unwrap_or_else(|status| respond::status(&status, refused));
        respond::add_warnings(&mut response, &warnings);
        if is_head {
            *response.body_mut() = Body::empty();
        }
        response
    }

    #[allow(clippy::too_many_arguments)] // the parts of one request
    async fn run<B>(
        &self,
        head: Head,
        target: Target,
        verb: &'static str,
        user: Arc<UserInfo>,
        body: B,
        has_protobuf: bool,
        warnings: &mut Vec<String>,
    ) -> Result<crate::generic::Outcome, Status>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        dispatch::warn_of_version(&target, warnings);
        let mut input = crate::input::Input::Nothing;
        let mut patch = None;
        if matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection") {
            let kind = if verb == "patch" { Some(patch_kind(&head, &target)?) } else { None };
            let bytes = read_body(body).await?;
            match kind {
                Some(kind) => patch = Some((kind, PatchBody::Bytes(bytes))),
                // No body is of no type.
                None if bytes.is_empty() && verb.starts_with("delete") => {}
                None => input = negotiate::input(&head.headers, bytes, has_protobuf)?,
            }
        }
        let agent = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
        let caller = Caller { user, agent: agent.into() };
        self.dispatch(Work { target, caller, verb, query: head.query, options: None, input, patch }, warnings)
            .await
    }
}

impl serve::Handler for ApiServer {
    type Body = Body;

    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        // In a box, so that a connection or a long stream does not keep the
        // room of a whole request.
        Box::pin(ApiServer::handle(self, request, peer)).await
    }
}

/// The body, 3 MiB at most.
pub(crate) async fn read_body<B>(body: B) -> Result<Bytes, Status>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || Status::request_entity_too_large(format!("limit is {MAX_BODY}"));
    let mut body = Limited::new(body, MAX_BODY + DRAINED);
    let mut read = Vec::new();
    let mut excess = body.size_hint().lower() > MAX_BODY as u64;
    loop {
        let frame = match body.frame().await {
            None if excess => return Err(too_large()),
            None => return Ok(Bytes::from(read)),
            Some(frame) => frame,
        };
        match frame {
            // What is too much is read on for a while, since most clients hear
            // an answer only after they have sent everything.
            Ok(frame) => match frame.into_data() {
                Ok(data) if !excess && read.len() + data.len() <= MAX_BODY => {
                    if read.is_empty() && body.is_end_stream() {
                        return Ok(data);
                    }
                    read.extend_from_slice(&data);
                }
                Ok(_) => {
                    excess = true;
                    read = Vec::new();
                }
                Err(_) => {}
            },
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(Status::bad_request(format!("the body could not be read: {error}"))),
        }
    }
}

/// What the request does, in the words of rights; "" for paths of no resource.
fn verb(head: &Head, route: Option<&Route>) -> &'static str {
    let Some(route) = route else { return "" };
    let named = !route.name.is_empty();
    if route.is_watch {
        // Whatever the method, which such a path may not have.
        return "watch";
    }
    match head.method {
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD if head.query.is_set("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// What is counted of a request beside its path.
fn asked<'a>(head: &'a Head, verb: &'a str) -> metrics::Asked<'a> {
    let content_type = head.headers.get(CONTENT_TYPE);
    let is_apply = content_type.is_some_and(|media_type| media_type == APPLY);
    metrics::Asked { method: &head.method, verb, is_apply, query: &head.query }
}

/// Requests without an end in sight.
fn is_stream(route: &Route) -> bool {
    matches!(&*route.subresource, "exec" | "attach" | "portforward" | "log" | "proxy")
}

/// Whether a path leads past a custom resource: by its scope, or below a part
/// of an object.
fn is_no_custom_path(target: &Target, route: &Route, verb: &str) -> bool {
    match (target.resource.is_namespaced(), route.namespace.is_empty()) {
        (false, false) => true,
        (true, true) => !matches!(verb, "list" | "watch"),
        _ => false,
    }
}

/// As [`check_served`], with the answers of custom resources.
fn check_custom(target: &Target, verb: &str) -> Result<(), Status> {
    let resource = target.resource.group_resource();
    let verbs = match target.subresource() {
        _ if target.subresource.is_empty() => &target.resource.verbs,
        Some(subresource) => &subresource.verbs,
        None => return Err(target.not_found()),
    };
    let named = !target.name.is_empty();
    if !named && matches!(verb, "update" | "patch") && verbs.iter().any(|have| have == verb) {
        return Err(Status::bad_request("name must be provided"));
    }
    let fits = match verb {
        "create" | "list" | "deletecollection" => !named,
        "watch" => true,
        _ => named,
    };
    if fits && verbs.iter().any(|have| have == verb) {
        return Ok(());
    }
    Err(Status::method_not_supported(resource, verb))
}

/// 404 where the path has no such subresource, 405 where it has no such verb.
fn check_served(target: &Target, route: &Route, verb: &str, method: &Method) -> Result<(), Status> {
    if target.resource.is_custom() {
        return check_custom(target, verb);
    }
    if route.is_watch {
        let watches = target.resource.has_verb("watch") && route.subresource.is_empty();
        return match watches {
            false => Err(Status::no_such_resource()),
            true if method != Method::GET => Err(Status::method_not_allowed()),
            true => Ok(()),
        };
    }
    // Built-in resources are not asked for by it, but through a proxy.
    let verb = if method == Method::HEAD && route.subresource != "proxy" { "" } else { verb };
    if !route.rest.is_empty() && !matches!(&*route.subresource, "proxy") {
        return Err(Status::no_such_resource());
    }
    if route.subresource.is_empty() {
        let of_object = matches!(verb, "get" | "update" | "patch" | "delete");
        let in_namespace = !target.resource.is_namespaced() || !target.namespace.is_empty();
        let fits = match verb {
            "create" => target.name.is_empty() && in_namespace,
            "deletecollection" => in_namespace,
            "list" => true,
            "watch" => true,
            _ => of_object && !target.name.is_empty() && in_namespace,
        };
        if fits && target.resource.has_verb(verb) {
            return Ok(());
        }
        // A path exists where any method does.
        let of_path: &[&str] = match (target.name.is_empty(), in_namespace) {
            (true, true) => &["create", "list", "deletecollection"],
            (true, false) => &["list"],
            (false, true) => &["get", "update", "patch", "delete"],
            (false, false) => &[],
        };
        if !of_path.iter().any(|verb| target.resource.has_verb(verb)) {
            return Err(Status::no_such_resource());
        }
        return Err(Status::method_not_allowed());
    }
    let Some(subresource) = target.subresource() else { return Err(Status::no_such_resource()) };
    let connects = matches!(subresource.kind, SubresourceKind::PodStream | SubresourceKind::Proxy);
    if connects || subresource.verbs.iter().any(|have| have == verb) {
        return Ok(());
    }
    Err(Status::method_not_allowed())
}

/// Whether a stream or a proxy is asked for by this method.
fn connects_by(target: &Target, method: &Method) -> bool {
    match &*target.subresource {
        "log" => method == Method::GET,
        "exec" | "attach" | "portforward" => matches!(*method, Method::GET | Method::POST),
        _ => matches!(
            *method,
            Method::GET
                | Method::POST
                | Method::PUT
                | Method::PATCH
                | Method::DELETE
                | Method::HEAD
                | Method::OPTIONS
        ),
    }
}

/// How the patch of this request is written.
fn patch_kind(head: &Head, target: &Target) -> Result<PatchKind, Status> {
    let is_custom = target.resource.is_custom();
    match negotiate::content_type(&head.headers) {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" if !is_custom => Ok(PatchKind::Strategic),
        APPLY => Ok(PatchKind::Apply { force: head.query.is_set("force") }),
        // Custom resources have no router that would refuse before.
        _ if is_custom => Err(Status::unknown_body_format(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            APPLY,
        ])),
        _ => Err(Status::unsupported_media_type()),
    }
}

/// Metadata of one object is no form of a list, nor the other way round.
fn fits_list(wanted: Wanted, verb: &str, target: &Target, headers: &HeaderMap) -> Result<(), Status> {
    if !matches!(wanted.shape, Shape::Metadata(_)) || verb == "watch" {
        return Ok(());
    }
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let asks_list = accept.contains("as=PartialObjectMetadataList");
    let is_list = matches!(verb, "list" | "deletecollection");
    if target.resource.is_custom() && target.subresource != "scale" {
        let type_of_lists = "unstructured.UnstructuredList";
        return match (is_list, asks_list) {
            (true, false) => Err(not_one(type_of_lists)),
            (false, true) => Err(Status::unknown("content is not a list")),
            _ => Ok(()),
        };
    }
    let package = target.resource.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    let why = match (is_list, asks_list) {
        (true, false) => return Err(not_one(&format!("{package}.{}", target.resource.list_kind))),
        (false, true) => format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list (*{package}.{})",
            target.resource.kind
        ),
        _ => return Ok(()),
    };
    Err(Status::failure(406, "NotAcceptable", why))
}

/// 406 for the metadata of one object where there is a list, by its Go type.
fn not_one(list: &str) -> Status {
    let why = format!("you requested PartialObjectMetadata, but the requested object is a list (*{list})");
    Status::failure(406, "NotAcceptable", why)
}

pub(crate) fn is_pretty(head: &Head) -> bool {
    match head.query.get("pretty") {
        Some(value) if !value.is_empty() => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        _ => {
            let agent = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|browser| agent.starts_with(browser))
        }
    }
}

/// `includeObject` of a table.
fn with_include(wanted: Wanted, head: &Head) -> Result<Wanted, Status> {
    let Shape::Table(version, _) = wanted.shape else { return Ok(wanted) };
    let asked = head.query.get("includeObject").unwrap_or("");
    let include = apimachinery::table::IncludeObject::parse(asked).map_err(Status::bad_request)?;
    Ok(Wanted { shape: Shape::Table(version, include), ..wanted })
}

/// The bearer token of the header, or of a WebSocket's protocols.
fn bearer(headers: &HeaderMap) -> Option<String> {
    const PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        let (scheme, token) = header.trim().split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    let protocols = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    let encoded = protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix(PROTOCOL))?;
    use base64::Engine;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
    String::from_utf8(decoded).ok()
}

pub(crate) fn with_group(user: &mut Arc<UserInfo>, group: &str) {
    if !user.is_in(group) {
        Arc::make_mut(user).groups.push(group.to_owned());
    }
}
