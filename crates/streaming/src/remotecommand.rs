//! Exec and attach: accepting the upgrade, and copying between a process and
//! the client's channels, over WebSocket or SPDY.

use std::future::Future;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::process::{Exit, Output, Process, Streams, TerminalSize};
use crate::{Error, LINGER, spdy, status, websocket};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Since v5: the channel named in the next byte is closed.
const CLOSE: u8 = 255;

/// How bytes are put into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encoding {
    /// Text messages with a decimal channel and base64, for browsers.
    base64: bool,
    /// The error channel carries a Status, not a sentence.
    status: bool,
}

/// In the order of our preference.
const WEBSOCKET_PROTOCOLS: &[(&str, Encoding)] = &[
    ("v5.channel.k8s.io", Encoding { base64: false, status: true }),
    ("v4.channel.k8s.io", Encoding { base64: false, status: true }),
    ("v4.base64.channel.k8s.io", Encoding { base64: true, status: true }),
    ("channel.k8s.io", Encoding { base64: false, status: false }),
    ("base64.channel.k8s.io", Encoding { base64: true, status: false }),
];

enum Framing {
    WebSocket(Encoding),
    Spdy { status: bool },
}

/// An accepted exec or attach: return [`Accepted::response`], then serve.
pub struct Accepted {
    upgrade: OnUpgrade,
    framing: Framing,
    streams: Streams,
}

/// Chooses a protocol and answers 101. The error is for a 400 or 403.
pub fn accept<B>(request: &mut Request<B>, streams: Streams) -> Result<(Response<()>, Accepted), Error> {
    if websocket::is_requested(request.headers()) {
        let offered = websocket::offered(request.headers());
        let chosen = if offered.is_empty() {
            Some(("", Encoding { base64: false, status: false }))
        } else {
            WEBSOCKET_PROTOCOLS.iter().find(|(name, _)| offered.iter().any(|one| one == name)).copied()
        };
        let (name, encoding) = chosen.ok_or_else(|| {
            Error::BadRequest(format!("none of the subprotocols {} is spoken here", offered.join(", ")))
        })?;
        let (response, upgrade) = websocket::accept(request, Some(name))?;
        return Ok((response, Accepted { upgrade, framing: Framing::WebSocket(encoding), streams }));
    }
    const SPDY_PROTOCOLS: &[&str] =
        &["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
    let (response, upgrade, protocol) = spdy::accept(request, SPDY_PROTOCOLS)?;
    let status = protocol == "v4.channel.k8s.io";
    Ok((response, Accepted { upgrade, framing: Framing::Spdy { status }, streams }))
}

impl Accepted {
    /// Starts the process by `start` once the client's streams are there, and
    /// serves until it has ended and everything was written.
    pub async fn serve<F>(self, start: impl FnOnce() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<Process, String>>,
    {
        match self.framing {
            Framing::WebSocket(encoding) => {
                let socket = websocket::open(self.upgrade).await?;
                serve_websocket(socket, encoding, self.streams, start).await
            }
            Framing::Spdy { status } => {
                let (mut connection, driver) = spdy::open(self.upgrade).await?;
                spdy::drive(driver, serve_spdy(&mut connection, status, self.streams, start))
                    .await
                    .unwrap_or(Ok(()))
            }
        }
    }
}

fn frame(encoding: Encoding, channel: u8, bytes: &[u8]) -> Message {
    if encoding.base64 {
        return Message::Text(format!("{channel}{}", STANDARD.encode(bytes)).into());
    }
    let mut framed = BytesMut::with_capacity(bytes.len() + 1);
    framed.put_u8(channel);
    framed.put_slice(bytes);
    Message::Binary(framed.freeze())
}

/// The channel and bytes of a message; None for what carries none.
fn unframe(encoding: Encoding, message: Message) -> Option<(u8, Bytes)> {
    let data = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        _ => return None,
    };
    let first = *data.first()?;
    let rest = data.slice(1..);
    if encoding.base64 {
        return Some((first.checked_sub(b'0')?, STANDARD.decode(&rest).ok()?.into()));
    }
    Some((first, rest))
}

/// The last words on the error channel.
fn farewell(status: bool, exit: &Exit) -> String {
    if status { status::status(exit) } else { status::message(exit) }
}

async fn serve_websocket<S, F>(
    socket: S,
    encoding: Encoding,
    streams: Streams,
    start: impl FnOnce() -> F,
) -> Result<(), Error>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error> + Unpin,
    F: Future<Output = Result<Process, String>>,
{
    let (mut sink, mut source) = socket.split();
    let greeting = match (streams.stdout, streams.stderr && !streams.tty) {
        (true, _) => STDOUT,
        (false, true) => STDERR,
        _ => ERROR,
    };
    sink.send(frame(encoding, greeting, &[])).await?;
    let process = match start().await {
        Ok(process) => process,
        Err(why) => {
            let text = farewell(encoding.status, &Exit::Failed(why));
            sink.send(frame(encoding, ERROR, text.as_bytes())).await?;
            return websocket::close(&mut sink, &mut source).await;
        }
    };
    let Process { stdin, stdout, stderr, resize, mut exit } = process;
    let (out, mut outgoing) = mpsc::channel::<(u8, Bytes)>(4);
    let outputs = async {
        futures::join!(pump(stdout, STDOUT, &out), pump(stderr, STDERR, &out));
        // The process may still run after its outputs are closed.
        (&mut exit).await
    };
    // What the client says; it ends when the client is gone.
    let incoming = async {
        let mut stdin = stdin;
        while let Some(Ok(message)) = source.next().await {
            match unframe(encoding, message) {
                Some((STDIN, bytes)) => {
                    if let Some(input) = &mut stdin
                        && (input.write_all(&bytes).await.is_err() || input.flush().await.is_err())
                    {
                        stdin = None;
                    }
                }
                Some((CLOSE, bytes)) if bytes.first() == Some(&STDIN) => {
                    if let Some(mut input) = stdin.take() {
                        let _ = input.shutdown().await;
                    }
                }
                Some((RESIZE, bytes)) => send_size(resize.as_ref(), &bytes).await,
                _ => {}
            }
        }
    };
    let exit = {
        tokio::pin!(outputs, incoming);
        loop {
            tokio::select! {
                biased;
                Some((channel, bytes)) = outgoing.recv() => sink.send(frame(encoding, channel, &bytes)).await?,
                exit = &mut outputs => break exit,
                // Dropping the process hangs up.
                () = &mut incoming => return Ok(()),
            }
        }
    };
    while let Ok((channel, bytes)) = outgoing.try_recv() {
        sink.send(frame(encoding, channel, &bytes)).await?;
    }
    sink.send(frame(encoding, ERROR, farewell(encoding.status, &exit).as_bytes())).await?;
    websocket::close(&mut sink, &mut source).await
}

async fn send_size(resize: Option<&mpsc::Sender<TerminalSize>>, bytes: &[u8]) {
    let Ok(size) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let part = |name: &str| size[name].as_u64().and_then(|value| u16::try_from(value).ok());
    if let (Some(width), Some(height), Some(resize)) = (part("Width"), part("Height"), resize) {
        let _ = resize.send(TerminalSize { width, height }).await;
    }
}

async fn pump(output: Option<Output>, channel: u8, to: &mpsc::Sender<(u8, Bytes)>) {
    let Some(mut output) = output else { return };
    let mut buffer = BytesMut::with_capacity(8 << 10);
    loop {
        buffer.reserve(8 << 10);
        match output.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if to.send((channel, buffer.split().freeze())).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn serve_spdy<F>(
    connection: &mut spdy::Connection,
    status: bool,
    streams: Streams,
    start: impl FnOnce() -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<Process, String>>,
{
    let wanted = 1
        + usize::from(streams.stdin)
        + usize::from(streams.stdout)
        + usize::from(streams.stderr && !streams.tty)
        + usize::from(streams.tty);
    let (mut error, mut stdin, mut stdout, mut stderr, mut resize) = (None, None, None, None, None);
    for _ in 0..wanted {
        let arrived =
            tokio::time::timeout(std::time::Duration::from_secs(30), connection.next_stream()).await;
        let Ok(Some(stream)) = arrived else {
            return Err(Error::Protocol("the client did not open the streams that it asked for".into()));
        };
        let place = match stream.header("streamtype") {
            "error" => &mut error,
            "stdin" => &mut stdin,
            "stdout" => &mut stdout,
            "stderr" => &mut stderr,
            "resize" => &mut resize,
            other => return Err(Error::Protocol(format!("a stream of the unknown type {other:?}"))),
        };
        *place = Some(stream);
    }
    let Some(mut error) = error else {
        return Err(Error::Protocol("the client opened no error stream".into()));
    };
    let exit = match start().await {
        Err(why) => Exit::Failed(why),
        Ok(process) => {
            let inputs = async {
                futures::join!(copy_in(stdin, process.stdin), copy_sizes(resize, process.resize));
                // Only the process's end ends the session.
                std::future::pending::<Exit>().await
            };
            let outputs = async {
                futures::join!(copy_out(process.stdout, stdout), copy_out(process.stderr, stderr));
                process.exit.await
            };
            tokio::select! {
                exit = outputs => exit,
                never = inputs => never,
            }
        }
    };
    error.write_all(farewell(status, &exit).as_bytes()).await?;
    error.shutdown().await?;
    connection.flush().await;
    // As for WebSockets: the client closes, once it has read everything.
    let closed = async { while connection.next_stream().await.is_some() {} };
    let _ = tokio::time::timeout(LINGER, closed).await;
    Ok(())
}

async fn copy_in(from: Option<spdy::Stream>, to: Option<crate::Input>) {
    if let (Some(mut from), Some(mut to)) = (from, to) {
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    }
}

async fn copy_out(from: Option<Output>, to: Option<spdy::Stream>) {
    if let Some(mut to) = to {
        if let Some(mut from) = from {
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
        let _ = to.shutdown().await;
    }
}

async fn copy_sizes(from: Option<spdy::Stream>, to: Option<mpsc::Sender<TerminalSize>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    let mut buffer = BytesMut::new();
    while matches!(from.read_buf(&mut buffer).await, Ok(read) if read > 0) {
        // One JSON object after another, maybe cut anywhere.
        while let Some(end) = buffer.iter().position(|byte| *byte == b'}') {
            send_size(Some(&to), &buffer.split_to(end + 1)).await;
        }
        if buffer.len() > 1024 {
            return;
        }
    }
}

/// An accepted log stream over WebSocket.
pub struct Tailing {
    upgrade: OnUpgrade,
    base64: bool,
}

/// Accepts a WebSocket that only reads (logs): `binary.k8s.io` (also when no
/// subprotocol is offered) or `base64.binary.k8s.io`.
pub fn tail<B>(request: &mut Request<B>) -> Result<(Response<()>, Tailing), Error> {
    let offered = websocket::offered(request.headers());
    let known = ["binary.k8s.io", "base64.binary.k8s.io"];
    let chosen = known.into_iter().find(|name| offered.iter().any(|one| one == name));
    if chosen.is_none() && !offered.is_empty() {
        return Err(Error::BadRequest(format!(
            "none of the subprotocols {} is spoken here",
            offered.join(", ")
        )));
    }
    let (response, upgrade) = websocket::accept(request, chosen)?;
    Ok((response, Tailing { upgrade, base64: chosen == Some("base64.binary.k8s.io") }))
}

impl Tailing {
    /// Sends what `output` gives until it ends or the client goes.
    pub async fn serve(self, mut output: impl AsyncRead + Unpin) -> Result<(), Error> {
        let (mut sink, mut source) = websocket::open(self.upgrade).await?.split();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(8 << 10);
            tokio::select! {
                read = output.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return websocket::close(&mut sink, &mut source).await;
                    }
                    let bytes = buffer.split().freeze();
                    let message = if self.base64 {
                        Message::Text(STANDARD.encode(&bytes).into())
                    } else {
                        Message::Binary(bytes)
                    };
                    sink.send(message).await?;
                }
                said = source.next() => match said {
                    Some(Ok(_)) => {}
                    _ => return Ok(()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
