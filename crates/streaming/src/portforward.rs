//! Port-forward: pairs of streams (data and error) for each connection, over
//! SPDY/3.1 or over SPDY tunnelled in a WebSocket.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::spdy::{self, Connection, Stream};
use crate::{Error, websocket};

/// The stream protocol inside SPDY.
pub const PORTFORWARD_PROTOCOL: &str = "portforward.k8s.io";
/// The subprotocol of a WebSocket that carries SPDY.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// Opens a connection to a port of the pod. The sentence of a failure goes to
/// the client.
pub type Dial = Arc<dyn Fn(u16) -> BoxFuture<'static, Result<Box<dyn Duplex>, String>> + Send + Sync>;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Answers 101 and gives what to run after that.
pub fn port_forward<B>(
    request: &mut Request<B>,
    dial: Dial,
) -> Result<(Response<()>, impl Future<Output = Result<(), Error>> + Send + use<B>), Error> {
    let tunnelled = websocket::is_requested(request.headers());
    let (response, upgrade) = if tunnelled {
        let offered = websocket::offered(request.headers());
        if !offered.iter().any(|one| one == TUNNEL) {
            return Err(Error::BadRequest(format!(
                "port-forward over a WebSocket needs the subprotocol {TUNNEL}, the client offers {}",
                offered.join(", ")
            )));
        }
        websocket::accept(request, Some(TUNNEL))?
    } else {
        let (response, upgrade, _) = spdy::accept(request, &[PORTFORWARD_PROTOCOL])?;
        (response, upgrade)
    };
    Ok((response, run(upgrade, tunnelled, dial)))
}

async fn run(upgrade: OnUpgrade, tunnelled: bool, dial: Dial) -> Result<(), Error> {
    let (connection, driver) = if tunnelled {
        spdy::over(websocket::Bytestream::new(websocket::open(upgrade).await?))
    } else {
        spdy::open(upgrade).await?
    };
    tokio::select! {
        ended = driver => ended,
        () = forward(connection, dial) => Ok(()),
    }
}

/// Serves pairs until the client opens no more and all are done.
pub(crate) async fn forward(mut connection: Connection, dial: Dial) {
    // The half of a pair that came first, by request id.
    let mut waiting: BTreeMap<String, Stream> = BTreeMap::new();
    let mut pairs = FuturesUnordered::new();
    let mut open = true;
    while open || !pairs.is_empty() {
        tokio::select! {
            stream = connection.next_stream(), if open => {
                let Some(stream) = stream else { open = false; continue };
                let id = match stream.header("requestid") {
                    // Clients from before request ids open error and data one after the other.
                    "" => match stream.header("streamtype") {
                        "error" => stream.id().to_string(),
                        _ => stream.id().saturating_sub(2).to_string(),
                    },
                    id => id.to_owned(),
                };
                match waiting.remove(&id) {
                    None => drop(waiting.insert(id, stream)),
                    Some(other) => {
                        let (data, error) =
                            if stream.header("streamtype") == "data" { (stream, other) } else { (other, stream) };
                        pairs.push(pair(data, error, dial.clone()));
                    }
                }
            }
            Some(()) = pairs.next(), if !pairs.is_empty() => {}
        }
    }
}

async fn pair(mut data: Stream, mut error: Stream, dial: Dial) {
    let outcome = async {
        let text = data.header("port").to_owned();
        let port: u16 = text.parse().map_err(|_| format!("{text:?} is not a port"))?;
        let mut connection = dial(port).await?;
        match tokio::io::copy_bidirectional(&mut data, &mut connection).await {
            Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("the connection to port {port} broke: {failure}"))
            }
            _ => Ok(()),
        }
    }
    .await;
    if let Err(why) = outcome {
        // The client reads it as what went wrong with this one connection.
        let _ = error.write_all(why.as_bytes()).await;
    }
    let _ = error.shutdown().await;
    let _ = data.shutdown().await;
}
