//! Asking a pod by gRPC: `grpc.health.v1.Health/Check` over HTTP/2 without TLS.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use edge::Tasks;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::GRPCAction;
use tokio::net::TcpStream;

const MOST_BODY: usize = 4 << 10;

#[derive(Clone)]
struct Executor(Tasks);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

pub async fn check(
    action: &GRPCAction,
    pod: Option<IpAddr>,
    patience: Duration,
    tasks: Tasks,
) -> Result<(), String> {
    let ip = pod.ok_or("the pod has no address yet")?;
    let port = u16::try_from(action.port).map_err(|_| format!("invalid port number: {}", action.port))?;
    let address = SocketAddr::new(ip, port);
    let service = action.service.clone().unwrap_or_default();
    // Its tasks end with this check.
    let own = tasks.child();
    let work = ask(address, &service, own.clone());
    let result = tokio::time::timeout(patience, work).await;
    own.stop();
    result.unwrap_or_else(|_| {
        Err(format!("timeout: failed to connect service {address:?} within {}s", patience.as_secs()))
    })
}

async fn ask(address: SocketAddr, service: &str, tasks: Tasks) -> Result<(), String> {
    let refused =
        |error: &dyn std::fmt::Display| format!("error: failed to connect service at {address}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| refused(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(Executor(tasks.clone()), TokioIo::new(stream))
            .await
            .map_err(|error| refused(&error))?;
    tasks.spawn(async move {
        // Its end shows in the request's.
        let _ = connection.await;
    });
    let request = http::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.37")
        .body(Full::new(message(service)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| refused(&error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST_BODY).collect().await.map_err(|error| error.to_string())?;
    let code = |headers: &http::HeaderMap| {
        headers
            .get("grpc-status")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u32>().ok())
    };
    let code = body.trailers().and_then(code).or_else(|| code(&head.headers)).unwrap_or(0);
    match code {
        0 => match serving(&body.to_bytes()) {
            Some(1) => Ok(()),
            other => Err(format!("service unhealthy (responded with {:?})", status_name(other))),
        },
        12 => {
            Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .into())
        }
        code => Err(format!("error: health rpc failed: status = {code}")),
    }
}

fn status_name(status: Option<u64>) -> &'static str {
    match status {
        Some(1) => "SERVING",
        Some(2) => "NOT_SERVING",
        Some(3) => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

/// HealthCheckRequest with its length, uncompressed.
fn message(service: &str) -> Bytes {
    let mut body = BytesMut::new();
    if !service.is_empty() {
        body.put_u8(0x0a);
        put_varint(&mut body, service.len() as u64);
        body.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put_slice(&body);
    framed.freeze()
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// `status` of a HealthCheckResponse; an empty message is UNKNOWN.
fn serving(framed: &[u8]) -> Option<u64> {
    let message = framed.get(5..)?;
    let (tag, rest) = message.split_first()?;
    if *tag != 0x08 {
        return None;
    }
    let (mut number, mut shift) = (0u64, 0);
    for byte in rest.iter().take(9) {
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_on_the_wire() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving(&[0, 0, 0, 0, 0]), None);
        assert_eq!(status_name(serving(&[0, 0, 0, 0, 2, 8, 2])), "NOT_SERVING");
    }
}
