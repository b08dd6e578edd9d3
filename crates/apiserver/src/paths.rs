//! Paths of no resource: discovery, OpenAPI, health, version, metrics.

use std::sync::Arc;

use api::facts;
use apimachinery::Status;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{Method, Response};

use crate::body::Body;
use crate::negotiate::{self, Wanted};
use crate::pipeline::Head;
use crate::{ApiServer, Plugin, UserInfo, output, respond};

const TEXT: &str = "text/plain; charset=utf-8";
/// When the process began, in seconds of Unix.
const STARTED: HeaderName = HeaderName::from_static("process-start-time-unix");
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The paths that `/` lists beside those of groups, health checks and pages.
const LISTED: [&str; 12] = [
    "/api",
    "/api/v1",
    "/apis",
    "/apis/",
    "/flagz",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/statusz",
    "/version",
];

impl ApiServer {
    pub(crate) async fn serve_path(&self, head: &Head, _user: &Arc<UserInfo>) -> Response<Body> {
        let path = head.path.as_str();
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
        let exact: Vec<&str> = path.split('/').skip(1).collect();
        if let [endpoint @ ("healthz" | "livez" | "readyz"), check @ ..] = exact.as_slice() {
            return match check {
                [""] => respond::no_such_page(),
                check => self.health(head, endpoint, check),
            };
        }
        if let ["api" | "apis", ..] = parts.as_slice() {
            return self.serve_discovery(head, &parts);
        }
        // A slash at the end makes another path of these.
        match path {
            "/openapi" | "/openapi/" | "/openapi/v2/" => return respond::no_such_page(),
            "/openapi/v3/" => return self.serve_openapi(head, &["v3", ""]),
            "/statusz" => return self.statusz(head),
            "/flagz" => return self.flagz(head),
            _ => {}
        }
        let page = self.page(path);
        let routed = match parts.as_slice() {
            ["version"] => Some("application/json"),
            ["version", ..] => {
                return respond::status(&Status::no_such_resource(), self.wanted_or_json(head));
            }
            _ => page.as_ref().map(|(media_type, _)| *media_type),
        };
        if let Some(media_type) = routed {
            let refused = match head.method {
                Method::GET => negotiate::takes(&head.headers, &[media_type]).err(),
                _ => Some(Status::method_not_allowed()),
            };
            if let Some(status) = refused {
                return respond::status(&status, self.wanted_or_json(head));
            }
        }
        match exact.as_slice() {
            [""] | ["index.html"] => self.list_paths(),
            ["version"] | ["version", ""] => {
                let body = serde_json::to_string_pretty(&facts::version()).unwrap_or_default();
                respond::plain(200, "application/json", body)
            }
            // Nothing is counted anew here.
            ["metrics"] | ["metrics", "slis"] if head.method == Method::DELETE => {
                respond::status(&Status::method_not_allowed(), Wanted::JSON)
            }
            ["metrics"] => {
                let mut text = self.metrics.write(&self.stored_objects(), self.store.size());
                self.timings.write(self.plugins.iter().map(Plugin::name), &mut text);
                self.counted(text)
            }
            ["metrics", "slis"] => self.counted(self.health.indicators()),
            ["openapi", ..] => self.serve_openapi(head, &exact[1..]),
            _ => match page {
                Some((media_type, body)) => {
                    let mut response = respond::plain(200, media_type, body);
                    let shared = HeaderValue::from_static("public, max-age=3600");
                    response.headers_mut().insert(CACHE_CONTROL, shared);
                    response
                }
                None => respond::no_such_page(),
            },
        }
    }

    /// Metrics, and since when they count.
    fn counted(&self, text: String) -> Response<Body> {
        let mut response = respond::plain(200, METRICS, text);
        response.headers_mut().insert(STARTED, HeaderValue::from(self.health.started().as_second()));
        response
    }

    /// What was added under this path, with its media type.
    fn page(&self, path: &str) -> Option<(&'static str, Vec<u8>)> {
        let path = path.trim_end_matches('/');
        self.pages.iter().find(|(have, _)| have == path).map(|(_, page)| page(&self.view()))
    }

    /// What is there below `/api` and `/apis`. The router takes GET alone; what
    /// the aggregator and the definitions of custom resources answer comes for
    /// any method.
    fn serve_discovery(&self, head: &Head, parts: &[&str]) -> Response<Body> {
        let catalogue = self.catalogue.load();
        let is_custom = |group: &str| {
            catalogue
                .resources()
                .iter()
                .filter(|resource| resource.group == group)
                .all(|found| found.is_custom())
        };
        let takes_any = match parts {
            ["apis"] => true,
            ["apis", group] => *group != "apiregistration.k8s.io",
            ["apis", group, _] => is_custom(group),
            _ => false,
        };
        let response = self.discover(head, !takes_any).unwrap_or_else(respond::no_such_page);
        let is_there = response.status() != http::StatusCode::NOT_FOUND;
        if is_there && !takes_any && head.method != Method::GET {
            return respond::status(&Status::method_not_allowed(), self.wanted_or_json(head));
        }
        response
    }

    /// Group, resource and count of everything that is stored.
    fn stored_objects(&self) -> Vec<(String, String, usize)> {
        let view = self.view();
        let resources = view.catalogue().resources().iter();
        let counted = resources.filter_map(|resource| {
            let count = view.snapshot().count(resource.prefix()?, None);
            Some((resource.group.to_string(), resource.resource.to_string(), count))
        });
        counted.collect()
    }

    fn health(&self, head: &Head, endpoint: &str, check: &[&str]) -> Response<Body> {
        let exclude: Vec<&str> = head.query.all("exclude").collect();
        let verbose = head.query.get("verbose").is_some();
        match self.health_report(endpoint, &check.join("/"), verbose, &exclude) {
            Some((code, text)) => {
                let mut response = respond::plain(code, TEXT, text);
                // A check that is asked for alone says less of its answer.
                if check.is_empty() {
                    response.headers_mut().insert(
                        http::header::X_CONTENT_TYPE_OPTIONS,
                        http::HeaderValue::from_static("nosniff"),
                    );
                }
                response
            }
            None => respond::no_such_page(),
        }
    }

    fn list_paths(&self) -> Response<Body> {
        let catalogue = self.catalogue.load();
        let mut paths: Vec<String> = LISTED.iter().map(|path| (*path).to_owned()).collect();
        paths.extend(self.pages.iter().map(|(path, _)| path.clone()));
        for endpoint in ["healthz", "livez", "readyz"] {
            paths.push(format!("/{endpoint}"));
            paths.extend(self.checks(endpoint).into_iter().map(|(name, _)| format!("/{endpoint}/{name}")));
        }
        for (group, versions) in catalogue.groups().iter().filter(|(group, _)| !group.is_empty()) {
            paths.push(format!("/apis/{group}"));
            paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
        }
        paths.sort();
        let mut list = apimachinery::Value::object();
        list.set("paths", paths.into_iter().map(apimachinery::Value::from).collect::<Vec<_>>());
        let readable = Wanted { pretty: true, ..Wanted::JSON };
        respond::plain(200, "application/json", output::encode(&list, readable))
    }
}
