//! SPDY/3.1, the server's side, as far as Kubernetes' clients use it: streams
//! opened by the client, replies, data, ping, reset and goaway.
//!
//! Clients of Kubernetes neither send nor heed WINDOW_UPDATE; a slow stream
//! holds back its connection by TCP. Settings and priorities have no effect.
//!
//! A connection moves only while its [`Driver`] is polled beside the work on
//! its streams; no task is started here.

mod connection;
mod frame;
mod headers;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

pub use connection::{Connection, Driver, Stream, drive};

use crate::Error;
use crate::websocket::has_token;

const PROTOCOL_HEADER: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Whether the request asks for SPDY/3.1.
pub fn is_requested(headers: &HeaderMap) -> bool {
    has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "spdy/3.1")
}

/// Chooses the first of the client's stream protocols that is among `known`
/// and answers 101; without any offered it is the last of `known`.
pub fn accept<B>(
    request: &mut Request<B>,
    known: &[&'static str],
) -> Result<(Response<()>, OnUpgrade, &'static str), Error> {
    let headers = request.headers();
    if !is_requested(headers) {
        return Err(Error::BadRequest(
            "unable to upgrade: the request asks for neither a WebSocket nor SPDY/3.1".into(),
        ));
    }
    let offered: Vec<&str> = headers
        .get_all(PROTOCOL_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let chosen = match offered.is_empty() {
        true => known.last().copied(),
        false => offered.iter().find_map(|one| known.iter().find(|name| *name == one).copied()),
    };
    let chosen = chosen.ok_or_else(|| {
        Error::BadRequest(format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            known.join(" ")
        ))
    })?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    response.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from_static(chosen));
    Ok((response, hyper::upgrade::on(request), chosen))
}

/// Waits until the connection speaks SPDY; call it after the 101 was returned.
pub async fn open(upgrade: OnUpgrade) -> Result<(Connection, Driver), Error> {
    Ok(connection::over(TokioIo::new(upgrade.await?)))
}

/// Speaks SPDY on a connection that is already there.
pub fn over<T>(transport: T) -> (Connection, Driver)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    connection::over(transport)
}

#[cfg(test)]
mod tests;
