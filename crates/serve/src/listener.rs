//! Accepting connections and serving requests on them.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use edge::Edge;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::Limits;
use crate::gathered::Gathered;
use crate::lingering::Lingering;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The client's chain, verified against the client authorities; empty
    /// where it showed none.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// What the handler found out about this peer once, for its later requests.
    pub memo: Arc<OnceLock<Arc<dyn Any + Send + Sync>>>,
}

impl Peer {
    /// A peer of which nothing is known yet.
    pub fn new(address: SocketAddr, certificates: Arc<[CertificateDer<'static>]>) -> Self {
        Self { address, certificates, memo: Arc::default() }
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Dropped where the client goes away.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A running listener.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    limits: Limits,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.limits.connections - self.permits.available_permits()
    }

    /// Takes no further connection, lets requests under way end within
    /// [`Limits::drain`], and closes what is left.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // After that time the tasks' group ends them.
        let _ = timeout(self.limits.drain, self.permits.acquire_many(all)).await;
    }
}

/// Serves `handler` on `listener` in the task group of `edge`.
pub fn serve<H: Handler>(
    edge: &Edge,
    listener: std::net::TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    handler: Arc<H>,
) -> std::io::Result<Server> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let permits = Arc::new(Semaphore::new(limits.connections));
    let stop = watch::Sender::new(false);
    let acceptor = Acceptor {
        edge: edge.clone(),
        tls: TlsAcceptor::from(tls),
        limits,
        handler,
        stop: stop.subscribe(),
        permits: permits.clone(),
    };
    edge.tasks.spawn(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => acceptor.run(listener).await,
            Err(error) => tracing::error!(%error, %address, "cannot listen"),
        }
    });
    Ok(Server { address, stop, permits, limits })
}

struct Acceptor<H> {
    edge: Edge,
    tls: TlsAcceptor,
    limits: Limits,
    handler: Arc<H>,
    stop: watch::Receiver<bool>,
    permits: Arc<Semaphore>,
}

impl<H: Handler> Acceptor<H> {
    async fn run(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => return,
            };
            match accepted {
                Ok((stream, address)) => match self.permits.clone().try_acquire_owned() {
                    Ok(permit) => self.connect(stream, address, permit),
                    Err(_) => tracing::warn!(%address, "a connection was refused: too many are open"),
                },
                Err(error) => {
                    // Out of descriptors, mostly: those that end give some back.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn connect(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let (tls, limits, handler) = (self.tls.clone(), self.limits, self.handler.clone());
        let (stop, executor) = (self.stop.clone(), Executor(self.edge.clone()));
        self.edge.tasks.spawn(async move {
            let _permit = permit;
            let _ = stream.set_nodelay(true);
            let (stream, left) = Lingering::new(stream);
            let stream = match timeout(limits.handshake, tls.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake error"),
                Err(_) => return tracing::debug!(%address, "TLS handshake timeout"),
            };
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificates =
                certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
            let peer = Peer::new(address, certificates);
            converse(stream, peer, limits, handler, stop.clone(), executor).await;
            if !*stop.borrow() {
                left.close().await;
            }
        });
    }
}

/// Waits until the listener is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection to its end.
async fn converse<H: Handler>(
    stream: tokio_rustls::server::TlsStream<Lingering>,
    peer: Peer,
    limits: Limits,
    handler: Arc<H>,
    mut stop: watch::Receiver<bool>,
    executor: Executor,
) {
    let service = service_fn(|request| {
        let (handler, peer) = (handler.clone(), peer.clone());
        async move { Ok::<_, Infallible>(handler.handle(request, &peer).await) }
    });
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX).max(64 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive);
    let multiplexes = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(Gathered::new(stream, multiplexes));
    let connection = builder.serve_connection_with_upgrades(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, error, "a connection ended");
    }
}

/// Starts hyper's tasks (one a stream of HTTP/2) in the listener's group.
#[derive(Clone)]
struct Executor(Edge);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.tasks.spawn(future);
    }
}
