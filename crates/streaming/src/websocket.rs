//! The WebSocket handshake (RFC 6455) on a hyper request, with a subprotocol
//! chosen from the client's list, and a byte stream over binary messages.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, SinkExt, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::{Error, LINGER};

/// A connection that has become a WebSocket.
pub type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Whether the request asks for a WebSocket.
pub fn is_requested(headers: &HeaderMap) -> bool {
    has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket")
}

pub(crate) fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The subprotocols that the client offers, in its order.
pub fn offered(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// The answer 101 and the promise of the connection.
pub fn accept<B>(
    request: &mut Request<B>,
    protocol: Option<&str>,
) -> Result<(Response<()>, OnUpgrade), Error> {
    let bad = |why: &str| Error::BadRequest(why.to_owned());
    let headers = request.headers();
    if !is_requested(headers) {
        return Err(bad("the request does not ask for a WebSocket"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad("only version 13 of the WebSocket protocol is spoken here"));
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .ok_or_else(|| bad("the header Sec-WebSocket-Key is missing"))?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| bad("the header Sec-WebSocket-Key cannot be read"))?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answers = response.headers_mut();
    answers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol.filter(|name| !name.is_empty()) {
        let value = HeaderValue::from_str(protocol).map_err(|_| bad("the subprotocol cannot be read"))?;
        answers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok((response, hyper::upgrade::on(request)))
}

/// Waits until the connection is a WebSocket; call it after the 101 was returned.
pub async fn open(upgrade: OnUpgrade) -> Result<Socket, Error> {
    let upgraded = TokioIo::new(upgrade.await?);
    let mut config = WebSocketConfig::default();
    // A terminal's bytes are small: large buffers would cost memory per session.
    config.read_buffer_size = 16 << 10;
    config.write_buffer_size = 0;
    config.max_message_size = Some(1 << 20);
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await)
}

/// Ends a connection in good order. Clients take any other close for a failure,
/// and a connection that is dropped while the client still sends is reset,
/// which loses what is under way to it: so its last word is waited for.
pub(crate) async fn close<S, R>(sink: &mut S, source: &mut R) -> Result<(), Error>
where
    S: Sink<Message, Error = WsError> + Unpin,
    R: Stream<Item = Result<Message, WsError>> + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
    sink.send(Message::Close(Some(frame))).await?;
    let said = async { while let Some(Ok(_)) = source.next().await {} };
    let _ = tokio::time::timeout(LINGER, said).await;
    match sink.close().await {
        // The client was faster.
        Err(WsError::ConnectionClosed | WsError::AlreadyClosed | WsError::Protocol(_)) => Ok(()),
        other => Ok(other?),
    }
}

/// The bytes of all binary messages as one stream (tunnelled SPDY).
pub struct Bytestream<S> {
    socket: S,
    rest: Bytes,
}

impl<S> Bytestream<S> {
    pub fn new(socket: S) -> Self {
        Self { socket, rest: Bytes::new() }
    }
}

type WsError = tokio_tungstenite::tungstenite::Error;

fn io_error(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed | WsError::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

impl<S: Stream<Item = Result<Message, WsError>> + Unpin> AsyncRead for Bytestream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(WsError::ConnectionClosed)) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: Sink<Message, Error = WsError> + Unpin> AsyncWrite for Bytestream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io_error)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(io_error)
    }
}
