//! Listens for questions over UDP and TCP.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use edge::Edge;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::{Answer, Config, answer};
use crate::forward::Forwarder;
use crate::view::View;
use crate::wire::{self, Carrier};

/// Connections at once, over all addresses.
const CONNECTIONS: usize = 128;
/// A connection that asks nothing for so long is closed (RFC 7766).
const IDLE: Duration = Duration::from_secs(10);
/// Questions over UDP that wait for a name server.
const WAITING: usize = 512;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for DNS on {address}: is another name server or another node there?")]
    Listen { address: SocketAddr, source: io::Error },
}

/// A running server. It ends with the task group it was started in.
pub struct Server {
    addresses: Vec<SocketAddr>,
}

struct Shared {
    view: Arc<dyn View + Send + Sync>,
    config: Config,
    forwarder: Forwarder,
    edge: Edge,
    connections: Semaphore,
    waiting: Semaphore,
}

impl Server {
    /// Listens on each of `addresses`, UDP and TCP, in the network namespace
    /// of the calling thread; an address need not be there yet (IP_FREEBIND).
    /// `upstreams` empty: names that are not the cluster's are refused at once.
    pub fn start(
        edge: &Edge,
        view: Arc<dyn View + Send + Sync>,
        config: Config,
        addresses: &[SocketAddr],
        upstreams: Vec<SocketAddr>,
    ) -> Result<Self, Error> {
        let forwarder = Forwarder::new(upstreams, edge.random.clone());
        let shared = Arc::new(Shared {
            view,
            config,
            forwarder,
            edge: edge.clone(),
            connections: Semaphore::new(CONNECTIONS),
            waiting: Semaphore::new(WAITING),
        });
        let mut bound = Vec::new();
        for address in addresses {
            let listen = |source| Error::Listen { address: *address, source };
            let udp = udp(*address).map_err(listen)?;
            // Port 0: TCP gets what UDP got.
            let actual = udp.local_addr().map_err(listen)?;
            let tcp = tcp(actual).map_err(listen)?;
            edge.tasks.spawn(serve_udp(shared.clone(), Arc::new(udp)));
            edge.tasks.spawn(serve_tcp(shared.clone(), tcp));
            bound.push(actual);
        }
        Ok(Self { addresses: bound })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn bound(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    // Holds for IPv6 sockets too.
    sockopt::set_ip_freebind(&fd, true)?;
    if kind == SocketType::STREAM {
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    bind(&fd, &address)?;
    if kind == SocketType::STREAM {
        listen(&fd, 128)?;
    }
    Ok(fd)
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(StdSocket::from(bound(address, SocketType::DGRAM)?))
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(StdListener::from(bound(address, SocketType::STREAM)?))
}

async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // An earlier asker's port was closed: the socket is still good.
                tracing::debug!(%error, "a question could not be received");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let (message, query) = match wire::read(&buffer[..length]) {
            Ok(asked) => asked,
            Err(refusal) => {
                if let Some(bytes) = refusal {
                    send(&socket, &bytes, peer).await;
                }
                continue;
            }
        };
        // What we know ourselves is answered on the spot.
        let (response, rest) = shared.own(&message, &query);
        let Some(rest) = rest else {
            if let Some(bytes) = wire::write(&response, &message, Carrier::Udp) {
                send(&socket, &bytes, peer).await;
            }
            continue;
        };
        let (shared, socket) = (shared.clone(), socket.clone());
        let edge = shared.edge.clone();
        edge.tasks.spawn(async move {
            let response = match shared.waiting.try_acquire() {
                Ok(_turn) => shared.complete(&message, response, rest).await,
                Err(_) => wire::response(&message, ResponseCode::ServFail),
            };
            if let Some(bytes) = wire::write(&response, &message, Carrier::Udp) {
                send(&socket, &bytes, peer).await;
            }
        });
    }
}

async fn send(socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, peer).await {
        tracing::debug!(%peer, %error, "an answer could not be sent");
    }
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                let edge = shared.edge.clone();
                edge.tasks.spawn(async move {
                    // Too many: closed at once, the asker comes again.
                    if let Ok(_turn) = shared.connections.try_acquire()
                        && let Err(error) = converse(&shared, stream).await
                    {
                        tracing::trace!(%error, "a connection ended");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: it passes.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let question = async {
            let length = stream.read_u16().await?;
            let mut bytes = vec![0; usize::from(length)];
            stream.read_exact(&mut bytes).await?;
            io::Result::Ok(bytes)
        };
        let bytes = timeout(IDLE, question).await.map_err(io::Error::other)??;
        let bytes = match wire::read(&bytes) {
            Ok((message, query)) => {
                let (response, rest) = shared.own(&message, &query);
                let response = match rest {
                    Some(rest) => shared.complete(&message, response, rest).await,
                    None => response,
                };
                wire::write(&response, &message, Carrier::Tcp)
            }
            Err(refusal) => refusal,
        };
        let Some(bytes) = bytes else { return Ok(()) };
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &bytes].concat();
        timeout(IDLE, stream.write_all(&framed)).await.map_err(io::Error::other)??;
    }
}

impl Shared {
    /// The response as far as the cluster knows, and what others must be asked.
    fn own(&self, message: &Message, query: &Query) -> (Message, Option<Query>) {
        let mut response = wire::response(message, ResponseCode::NoError);
        response.metadata.authoritative = true;
        match answer(&query.name, query.query_type, self.view.as_ref(), &self.config) {
            Answer::Records { mut answers, additional, unfinished } => {
                self.turn(&mut answers, query.query_type);
                response.add_answers(answers);
                response.add_additionals(additional);
                let rest = unfinished.filter(|_| !self.forwarder.is_empty());
                (response, rest.map(|name: Name| Query::query(name, query.query_type)))
            }
            Answer::NoData(soa) => {
                response.add_authority(soa);
                (response, None)
            }
            Answer::NoName(soa) => {
                response.metadata.response_code = ResponseCode::NXDomain;
                response.add_authority(soa);
                (response, None)
            }
            Answer::Elsewhere if self.forwarder.is_empty() => {
                (wire::response(message, ResponseCode::Refused), None)
            }
            Answer::Elsewhere => {
                response.metadata.authoritative = false;
                (response, Some(query.clone()))
            }
        }
    }

    /// Another endpoint first each time: many clients take the first only.
    fn turn(&self, answers: &mut [hickory_proto::rr::Record], kind: RecordType) {
        if matches!(kind, RecordType::A | RecordType::AAAA | RecordType::SRV) {
            let first = answers.iter().position(|record| record.record_type() == kind).unwrap_or(0);
            let turning = &mut answers[first..];
            if turning.len() > 1 {
                turning.rotate_left(self.edge.random.below(turning.len() as u64) as usize);
            }
        }
    }

    /// Adds what the name servers say about `rest`.
    async fn complete(&self, message: &Message, mut response: Message, rest: Query) -> Message {
        let dnssec = message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        match self.forwarder.ask(&rest, dnssec).await {
            Some(said) => {
                if response.answers.is_empty() {
                    let code = said.metadata.response_code;
                    response = wire::response(message, code);
                }
                response.add_answers(said.answers);
                response.add_authorities(said.authorities);
                response
            }
            None => wire::response(message, ResponseCode::ServFail),
        }
    }
}
