//! Asks the node's name servers about names that are not the cluster's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use edge::Random;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::serialize::binary::BinDecodable;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::cache::Cache;

/// How long one name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions under way at once; more are told to come again.
const UNDER_WAY: usize = 256;
/// As many name servers as a resolver uses.
const SERVERS: usize = 3;
const PORT: u16 = 53;

/// The name servers of a resolv.conf, without those in `own` (a server that
/// asked itself would never end).
pub fn upstreams(resolv_conf: &str, own: &[SocketAddr]) -> Vec<SocketAddr> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A scope (`fe80::1%eth0`) names a link that need not be ours.
        address.parse::<IpAddr>().ok()
    };
    let addresses = resolv_conf.lines().filter_map(line).map(|address| SocketAddr::from((address, PORT)));
    addresses.filter(|address| !own.contains(address)).take(SERVERS).collect()
}

/// The way to the name servers, with a cache.
pub(crate) struct Forwarder {
    servers: Vec<SocketAddr>,
    cache: Mutex<Cache>,
    random: Arc<dyn Random>,
    under_way: Semaphore,
}

impl Forwarder {
    pub fn new(servers: Vec<SocketAddr>, random: Arc<dyn Random>) -> Self {
        Self { servers, cache: Mutex::default(), random, under_way: Semaphore::new(UNDER_WAY) }
    }

    /// There is nobody to ask: no packet is sent.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// What the first server that answers says; None where none does.
    pub async fn ask(&self, query: &Query, dnssec: bool) -> Option<Message> {
        let key = (query.name.to_lowercase().to_ascii(), u16::from(query.query_type), dnssec);
        if let Some(known) = self.cache.lock().get(&key, Instant::now()) {
            return Some(known);
        }
        let _turn = self.under_way.try_acquire().ok()?;
        for server in &self.servers {
            match timeout(PATIENCE, self.exchange(*server, query, dnssec)).await {
                Ok(Ok(answer)) => {
                    self.cache.lock().put(key, &answer, Instant::now());
                    return Some(answer);
                }
                Ok(Err(error)) => tracing::debug!(%server, %error, "a name server could not be asked"),
                Err(_) => tracing::debug!(%server, "a name server did not answer in time"),
            }
        }
        None
    }

    async fn exchange(&self, server: SocketAddr, query: &Query, dnssec: bool) -> io::Result<Message> {
        let id = self.random.next_u64() as u16;
        let mut question = Message::new(id, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(1232).set_version(0).set_dnssec_ok(dnssec);
        question.set_edns(edns);
        let bytes = question.to_vec().map_err(io::Error::other)?;
        let answer = Self::over_udp(server, &bytes, &question).await?;
        if answer.metadata.truncation {
            return Self::over_tcp(server, &bytes, &question).await;
        }
        Ok(answer)
    }

    /// A socket of its own, so that the port too must be guessed by a forger.
    async fn over_udp(server: SocketAddr, bytes: &[u8], question: &Message) -> io::Result<Message> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        // Without a route this fails, and nothing is sent.
        socket.connect(server).await?;
        socket.send(bytes).await?;
        let mut buffer = vec![0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            match Message::from_bytes(&buffer[..length]) {
                Ok(answer) if belongs(&answer, question) => return Ok(answer),
                // A forged or late one: the right one may still come.
                _ => {}
            }
        }
    }

    async fn over_tcp(server: SocketAddr, bytes: &[u8], question: &Message) -> io::Result<Message> {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await?;
        match Message::from_bytes(&buffer) {
            Ok(answer) if belongs(&answer, question) => Ok(answer),
            Ok(_) => Err(io::Error::other("the name server answered another question")),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn belongs(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries.len() == 1
        && answer.queries[0].query_type == question.queries[0].query_type
        && answer.queries[0].name == question.queries[0].name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text = "# comment\nnameserver 10.96.0.10\nsearch lan\nnameserver 192.0.2.53 # office\n\
                    nameserver fe80::1%eth0\nnameserver 2001:db8::53\nnameserver x\noptions ndots:2\n";
        let own = ["10.96.0.10:53".parse().unwrap()];
        let expected: Vec<SocketAddr> =
            ["192.0.2.53:53", "[2001:db8::53]:53"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(upstreams(text, &own), expected);
        assert_eq!(upstreams("", &own), []);
    }
}
