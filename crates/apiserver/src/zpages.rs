//! `/statusz` and `/flagz`: what this program is and how it is set, for people and, by a kind
//! that must be asked for, for programs.

use api::facts;
use apimachinery::{Status, Value, time, value};
use http::Response;

use crate::body::Body;
use crate::negotiate::{self, Page};
use crate::openapi::minor_version;
use crate::pipeline::Head;
use crate::{ApiServer, output, respond};

const TEXT: &str = "text/plain; charset=utf-8";
const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting \
    compatibility guarantees and is for debugging purposes only.";
/// What `/statusz` lists.
const PATHS: [&str; 7] = ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"];

/// Those of upstream's flags whose values hold for this server, which has no such flags.
const FLAGS: [(&str, &str); 14] = [
    ("allow-privileged", "true"),
    ("authorization-mode", "[Node,RBAC]"),
    ("contention-profiling", "false"),
    ("default-not-ready-toleration-seconds", "300"),
    ("default-unreachable-toleration-seconds", "300"),
    ("disable-admission-plugins", "[]"),
    ("enable-aggregator-routing", "false"),
    ("enable-logs-handler", "false"),
    ("event-ttl", "1h0m0s"),
    ("min-request-timeout", "1800"),
    ("profiling", "false"),
    ("request-timeout", "1m0s"),
    ("storage-media-type", "application/json"),
    ("watch-cache", "false"),
];

impl ApiServer {
    pub(crate) fn statusz(&self, head: &Head) -> Response<Body> {
        let (started, now) = (self.health.started(), self.edge.clock.now());
        let up = now.as_second() - started.as_second();
        let minor = minor_version();
        let version = facts::version();
        let go = version["goVersion"].text();
        let text = || {
            format!(
                "\napiserver statusz\n{WARNING}\n\nStarted: {}\nUp: {} hr {:02} min {:02} sec\nGo version: {go}\n\
                 Binary version: {minor}\nEmulation version: {minor}\nPaths: {}\n",
                started.strftime("%a %b %e %H:%M:%S UTC %Y"),
                up / 3600,
                up / 60 % 60,
                up % 60,
                PATHS.join(" "),
            )
        };
        let fields = || {
            value!({
                "startTime": time::format(started),
                "uptimeSeconds": up,
                "goVersion": go,
                "binaryVersion": minor.as_str(),
                "emulationVersion": minor.as_str(),
                "paths": PATHS.into_iter().map(Value::from).collect::<Vec<_>>(),
            })
        };
        self.zpage(head, "Statusz", text, fields)
    }

    pub(crate) fn flagz(&self, head: &Head) -> Response<Body> {
        let anonymous = ("anonymous-auth", if self.anonymous { "true" } else { "false" });
        let mut flags: Vec<(&str, &str)> = FLAGS.into_iter().chain([anonymous]).collect();
        flags.sort_unstable();
        let text = || {
            let lines: String = flags.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            format!("\napiserver flagz\n{WARNING}\n{lines}")
        };
        let fields = || {
            let mut told = Value::object();
            for (name, value) in &flags {
                told.set((*name).to_owned(), *value);
            }
            value!({"flags": told})
        };
        self.zpage(head, "Flagz", text, fields)
    }

    fn zpage(
        &self,
        head: &Head,
        kind: &'static str,
        text: impl FnOnce() -> String,
        fields: impl FnOnce() -> Value,
    ) -> Response<Body> {
        match negotiate::page(&head.headers, kind) {
            Some(Page::Text) => respond::plain(200, TEXT, text()),
            Some(Page::Object(wanted, version)) => {
                let mut made = value!({
                    "kind": kind,
                    "apiVersion": format!("config.k8s.io/{version}"),
                    "metadata": {"name": "apiserver"},
                });
                for (name, value) in fields().members() {
                    made.set(name.to_owned(), value.clone());
                }
                respond::plain(200, output::media_type(wanted.format, false), output::encode(&made, wanted))
            }
            None => {
                let status = Status::not_acceptable(&[negotiate::JSON, negotiate::YAML, "text/plain"]);
                // These pages have no protobuf, nor have their refusals.
                respond::status(&status, self.wanted_of(head, false))
            }
        }
    }
}
