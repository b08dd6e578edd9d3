//! Asking a pod by HTTP or TCP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::header::{HOST, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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

/// Succeeds on any status from 200 to 399.
pub async fn http(
    action: &HTTPGetAction,
    container: &Container,
    pod: Option<IpAddr>,
    patience: Duration,
    agent: &str,
) -> Result<(), String> {
    match get(action, container, pod, patience, agent).await? {
        200..400 => Ok(()),
        status => Err(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// What a server says that is asked by TLS and speaks plain HTTP.
pub const NOT_TLS: &str = "http: server gave HTTP response to HTTPS client";

/// The status of the answer.
pub async fn get(
    action: &HTTPGetAction,
    container: &Container,
    pod: Option<IpAddr>,
    patience: Duration,
    agent: &str,
) -> Result<u16, String> {
    let endpoint = Endpoint::of(action.host.as_deref(), pod, port(&action.port, container)?)?;
    let tls = action.scheme.as_deref() == Some("HTTPS");
    let scheme = if tls { "https" } else { "http" };
    let path = action.path.as_deref().unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let url = format!("{scheme}://{endpoint}{path}");
    let mut request = http::Request::get(&path)
        .header(USER_AGENT, format!("{agent}/1.37"))
        .header("Accept", "*/*")
        .header("Connection", "close");
    let mut has_host = false;
    for header in action.http_headers.iter().flatten() {
        has_host |= header.name.eq_ignore_ascii_case("host");
        request = request.header(&header.name, &header.value);
    }
    if !has_host {
        request = request.header(HOST, endpoint.to_string());
    }
    let request = request.body(Empty::new()).map_err(|error| format!("Get {url:?}: {error}"))?;
    let work = async {
        let stream = endpoint.dial().await?;
        if tls {
            let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| error.to_string())?;
            let connector = tokio_rustls::TlsConnector::from(serve::unverified_client());
            let stream = connector.connect(name, stream).await.map_err(|error| tls_failure(&error))?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    };
    match tokio::time::timeout(patience, work).await {
        Err(_) => Err(format!(
            "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
        Ok(done) => done.map_err(|why| format!("Get {url:?}: {why}")),
    }
}

fn tls_failure(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => NOT_TLS.into(),
        _ => error.to_string(),
    }
}

async fn exchange<S>(stream: S, request: http::Request<Empty<bytes::Bytes>>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        // A server that is cut off before its answer is whole would log errors.
        let _ = Limited::new(response.into_body(), MOST_BODY).collect().await;
        Ok(status)
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
        let asked = get(&action, &container, None, Duration::from_secs(5), "kube-lifecycle");
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
