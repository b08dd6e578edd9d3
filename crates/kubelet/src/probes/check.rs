//! Asking a pod by HTTP or TCP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{HOST, LOCATION, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// As Go's client.
const MOST_REDIRECTS: u32 = 10;
/// As much of an answer as is read.
const MOST_BODY: usize = 10 << 10;

/// The number of a port, which may be the name of one of the container's.
pub fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let valid = |number: i32| u16::try_from(number).ok().filter(|port| *port > 0);
    match port {
        IntOrString::Int(number) => valid(*number).ok_or_else(|| format!("invalid port number: {number}")),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|one| one.name.as_deref() == Some(name));
            named
                .and_then(|one| valid(one.container_port))
                .or_else(|| name.parse().ok().and_then(valid))
                .ok_or_else(|| format!("couldn't find port: {name:?} in container {}", container.name))
        }
    }
}

/// Where a check goes. Names are the node's to resolve.
struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// `host`, or the pod itself where none is given.
    fn of(host: Option<&str>, pod: Option<IpAddr>, port: u16) -> Result<Self, String> {
        let host = match host.filter(|host| !host.is_empty()) {
            Some(host) => host.to_owned(),
            None => pod.ok_or("the pod has no address yet")?.to_string(),
        };
        Ok(Self { host, port })
    }

    async fn dial(&self) -> Result<TcpStream, String> {
        TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("dial tcp {self}: connect: connection refused"),
            _ => format!("dial tcp {self}: {error}"),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

pub async fn tcp(
    action: &TCPSocketAction,
    container: &Container,
    pod: Option<IpAddr>,
    patience: Duration,
) -> Result<(), String> {
    let endpoint = Endpoint::of(action.host.as_deref(), pod, port(&action.port, container)?)?;
    match tokio::time::timeout(patience, endpoint.dial()).await {
        Ok(dialled) => dialled.map(drop),
        Err(_) => Err(format!("dial tcp {endpoint}: i/o timeout")),
    }
}

/// Follows redirects within the same host; one that leads elsewhere is healthy
/// too, and the warning says where it ended. Any status below 400 will do.
pub async fn http(
    action: &HTTPGetAction,
    container: &Container,
    pod: Option<IpAddr>,
    patience: Duration,
    agent: &str,
) -> Result<Option<String>, String> {
    let mut page = Page::of(action, container, pod)?;
    let deadline = Instant::now() + patience;
    for _ in 0..MOST_REDIRECTS {
        let answer = page.get(action, deadline, agent).await?;
        match (answer.status, page.redirected(&answer)) {
            (_, Some(next)) => page = next,
            (200..300, None) => return Ok(None),
            (300..400, None) => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                return Ok(Some(format!("Probe terminated redirects, Response body: {body}")));
            }
            (status, None) => return Err(format!("HTTP probe failed with statuscode: {status}")),
        }
    }
    Err(format!("Get {:?}: stopped after {MOST_REDIRECTS} redirects", page.url()))
}

/// What a server says that is asked by TLS and speaks plain HTTP.
pub const NOT_TLS: &str = "http: server gave HTTP response to HTTPS client";

/// Any answer will do.
pub async fn ask(
    action: &HTTPGetAction,
    container: &Container,
    pod: Option<IpAddr>,
    patience: Duration,
    agent: &str,
) -> Result<(), String> {
    Page::of(action, container, pod)?.get(action, Instant::now() + patience, agent).await.map(drop)
}

/// What is asked for.
struct Page {
    endpoint: Endpoint,
    tls: bool,
    /// With the query.
    path: String,
}

struct Answer {
    status: u16,
    location: Option<String>,
    body: bytes::Bytes,
}

impl Page {
    fn of(action: &HTTPGetAction, container: &Container, pod: Option<IpAddr>) -> Result<Self, String> {
        let endpoint = Endpoint::of(action.host.as_deref(), pod, port(&action.port, container)?)?;
        let path = action.path.as_deref().unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { endpoint, tls: action.scheme.as_deref() == Some("HTTPS"), path })
    }

    fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.endpoint, self.path)
    }

    /// Where the answer sends the client on this host.
    fn redirected(&self, answer: &Answer) -> Option<Page> {
        let location =
            answer.location.as_deref().filter(|_| matches!(answer.status, 301..=303 | 307 | 308))?;
        let absolute = match location.split_once("//") {
            Some((scheme, _)) if scheme.ends_with(':') => location.to_owned(),
            Some(("", rest)) => format!("{}://{rest}", if self.tls { "https" } else { "http" }),
            _ if location.starts_with('/') => return Some(self.at(location.to_owned())),
            _ => {
                let directory = self.path.split('?').next().and_then(|path| path.rsplit_once('/'));
                return Some(self.at(format!("{}/{location}", directory.map_or("", |(before, _)| before))));
            }
        };
        let uri: http::Uri = absolute.parse().ok()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let tls = uri.scheme_str() == Some("https");
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        (host == self.endpoint.host).then(|| Page {
            endpoint: Endpoint {
                host: host.to_owned(),
                port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            },
            tls,
            path,
        })
    }

    fn at(&self, path: String) -> Page {
        let Endpoint { host, port } = &self.endpoint;
        Page { endpoint: Endpoint { host: host.clone(), port: *port }, tls: self.tls, path }
    }

    async fn get(&self, action: &HTTPGetAction, deadline: Instant, agent: &str) -> Result<Answer, String> {
        let url = self.url();
        let mut request = http::Request::get(&self.path)
            .header(USER_AGENT, format!("{agent}/1.37"))
            .header("Accept", "*/*")
            .header("Connection", "close");
        let mut has_host = false;
        for header in action.http_headers.iter().flatten() {
            has_host |= header.name.eq_ignore_ascii_case("host");
            request = request.header(&header.name, &header.value);
        }
        if !has_host {
            request = request.header(HOST, self.endpoint.to_string());
        }
        let request = request.body(Empty::new()).map_err(|error| format!("Get {url:?}: {error}"))?;
        let work = async {
            let stream = self.endpoint.dial().await?;
            if !self.tls {
                return exchange(stream, request).await;
            }
            let name = ServerName::try_from(self.endpoint.host.clone()).map_err(|error| error.to_string())?;
            let connector = tokio_rustls::TlsConnector::from(serve::unverified_client());
            let stream = connector.connect(name, stream).await.map_err(|error| tls_failure(&error))?;
            exchange(stream, request).await
        };
        match tokio::time::timeout_at(deadline, work).await {
            Err(_) => Err(format!(
                "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            )),
            Ok(done) => done.map_err(|why| format!("Get {url:?}: {why}")),
        }
    }
}

fn tls_failure(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => NOT_TLS.into(),
        _ => error.to_string(),
    }
}

async fn exchange<S>(stream: S, request: http::Request<Empty<bytes::Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let location = location.map(str::to_owned);
        // A server that is cut off before its answer is whole would log errors.
        let body = Limited::new(response.into_body(), MOST_BODY).collect().await;
        Ok(Answer { status, location, body: body.map(|body| body.to_bytes()).unwrap_or_default() })
    };
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = talk => done,
        () = drive => Err("the connection ended".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn ports_have_names() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "c", "ports": [{"name": "web", "containerPort": 8080}],
        }))
        .unwrap();
        assert_eq!(port(&IntOrString::String("web".into()), &container), Ok(8080));
        assert_eq!(port(&IntOrString::Int(80), &container), Ok(80));
        assert!(port(&IntOrString::String("none".into()), &container).is_err());
        assert!(port(&IntOrString::Int(0), &container).is_err());
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let page = Page {
            endpoint: Endpoint { host: "10.0.0.1".into(), port: 8080 },
            tls: false,
            path: "/a/b?q".into(),
        };
        let rows = [
            (302, Some("/c?d"), Some("http://10.0.0.1:8080/c?d")),
            (301, Some("c"), Some("http://10.0.0.1:8080/a/c")),
            (307, Some("https://10.0.0.1/x"), Some("https://10.0.0.1:443/x")),
            (308, Some("//10.0.0.1:81"), Some("http://10.0.0.1:81/")),
            (302, Some("http://0.0.0.0/"), None),
            (302, None, None),
            (200, Some("/c"), None),
        ];
        for (status, location, expected) in rows {
            let answer = Answer { status, location: location.map(str::to_owned), body: bytes::Bytes::new() };
            let next = page.redirected(&answer).map(|page| page.url());
            assert_eq!(next.as_deref(), expected, "{status} {location:?}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved_and_plain_servers_are_told_from_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let action = HTTPGetAction {
            host: Some("localhost".into()),
            scheme: Some("HTTPS".into()),
            port: IntOrString::Int(listener.local_addr().unwrap().port().into()),
            ..HTTPGetAction::default()
        };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 64]).await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let container = Container::default();
        let asked = ask(&action, &container, None, Duration::from_secs(5), "kube-lifecycle");
        let (answer, ()) = futures::join!(asked, serve);
        assert!(answer.unwrap_err().ends_with(NOT_TLS));
    }

    #[tokio::test]
    async fn statuses_decide_and_nobody_there_is_said() {
        for (status, healthy) in
            [("200 OK", true), ("302 Found", true), ("404 Not Found", false), ("500 No", false)]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                assert!(String::from_utf8_lossy(&request[..read]).starts_with("GET /healthz HTTP/1.1"));
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let action = HTTPGetAction {
                path: Some("healthz".into()),
                port: IntOrString::Int(at.port().into()),
                ..HTTPGetAction::default()
            };
            let container = Container::default();
            let asked = http(&action, &container, Some(at.ip()), Duration::from_secs(5), "kube-probe");
            let (result, ()) = futures::join!(asked, serve);
            assert_eq!(result.is_ok(), healthy, "{status}: {result:?}");
            drop(listener);
            let gone = http(&action, &container, Some(at.ip()), Duration::from_secs(5), "kube-probe").await;
            assert!(gone.unwrap_err().contains("connect: connection refused"));
        }
    }
}
