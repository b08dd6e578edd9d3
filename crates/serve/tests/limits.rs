//! Clients that take too much, on loopback: each is refused or cut off, and
//! others are served all the while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edge::Edge;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serve::{Certificate, Handler, Limits, Peer, Server, serve, server_config, unverified_client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers at once, but never on `/wait`; counts what is at work.
#[derive(Default)]
struct Answering {
    at_work: AtomicUsize,
    most: AtomicUsize,
}

struct AtWork<'a>(&'a Answering);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handler for Answering {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, _: &Peer) -> Response<Full<Bytes>> {
        let now = self.at_work.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let _at_work = AtWork(self);
        if request.uri().path() == "/wait" {
            std::future::pending::<()>().await;
        }
        Response::new(Full::new(Bytes::from_static(b"ok")))
    }
}

struct Tested {
    server: Server,
    handler: Arc<Answering>,
}

impl Tested {
    fn start(limits: Limits) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate");
        let certificate =
            Certificate::from_pem(&certificate.pem(), &key.serialize_pem()).expect("a certificate");
        let tls = server_config(&certificate, "").expect("a configuration");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let handler = Arc::new(Answering::default());
        let server = serve(&Edge::system(), listener, tls, limits, handler.clone()).expect("listens");
        Self { server, handler }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A connection that speaks `protocol`; None where it is refused.
    async fn connect(&self, protocol: &[u8]) -> Option<TlsStream<TcpStream>> {
        let mut config = (*unverified_client()).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address()).await.ok()?;
        let name = ServerName::IpAddress(self.address().ip().into());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
    }

    /// Waits until no more connections than this are open: the server hears of
    /// an end a moment later.
    async fn settles(&self, connections: usize) {
        for _ in 0..600 {
            if self.server.connections() <= connections {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a new connection is served.
    async fn serves(&self) -> bool {
        let Some(stream) = self.connect(b"http/1.1").await else { return false };
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else { return false };
        Edge::system().tasks.spawn(connection);
        let request = Request::get("/").header("host", "x").body(Empty::<Bytes>::new()).expect("a request");
        match sender.send_request(request).await {
            Ok(answer) => answer.into_body().collect().await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Reads until the server closes; whether that happens in time.
async fn is_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut buffer = [0; 1024];
    let closed = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    timeout(PATIENCE, closed).await.is_ok()
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_and_the_others_served() {
    let tested = Tested::start(Limits { connections: 40, ..Limits::default() });
    let mut open = Vec::new();
    for _ in 0..39 {
        open.push(tested.connect(b"http/1.1").await.expect("within the limit"));
    }
    assert!(tested.serves().await, "one more has a place");
    tested.settles(39).await;
    open.push(tested.connect(b"http/1.1").await.expect("the place is free again"));
    for _ in 0..40 {
        assert!(!tested.serves().await, "there is no place");
    }
    assert_eq!(tested.server.connections(), 40);
    drop(open);
    tested.settles(0).await;
    assert!(tested.serves().await, "places come back");
}

#[tokio::test]
async fn those_who_say_nothing_are_cut_off() {
    let short = Duration::from_millis(300);
    let tested = Tested::start(Limits { handshake: short, headers: short, ..Limits::default() });
    let mut silent = TcpStream::connect(tested.address()).await.expect("connects");
    assert!(is_closed(&mut silent).await, "no handshake");
    let mut slow = tested.connect(b"http/1.1").await.expect("connects");
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.expect("sent");
    assert!(is_closed(&mut slow).await, "no end of the headers");
    assert!(tested.serves().await);
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let tested = Tested::start(Limits { header_bytes: 64 << 10, ..Limits::default() });
    let mut stream = tested.connect(b"http/1.1").await.expect("connects");
    let sent = async {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await?;
        for at in 0..20_000 {
            stream.write_all(format!("x-{at}: {}\r\n", "y".repeat(100)).as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    // The server may close before everything is sent.
    let _ = timeout(PATIENCE, sent).await.expect("the server reads or closes");
    assert!(is_closed(&mut stream).await);
    assert_eq!(tested.handler.most.load(Ordering::Relaxed), 0, "no request came of it");
    assert!(tested.serves().await);
}

#[tokio::test]
async fn streams_that_are_reset_at_once_stay_few() {
    let tested = Tested::start(Limits { streams: 50, pending_resets: 20, ..Limits::default() });
    let stream = tested.connect(b"h2").await.expect("connects");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let ended = Edge::system().tasks.spawn(connection);
    for at in 0..3000 {
        if timeout(PATIENCE, sender.ready()).await.expect("not forever").is_err() {
            break;
        }
        let uri = format!("https://x/wait?{at}");
        let request = Request::get(uri).body(Empty::<Bytes>::new()).expect("a request");
        // Sent, and reset as it is dropped.
        let sent: Result<Result<_, hyper::Error>, _> =
            timeout(Duration::from_micros(200), sender.send_request(request)).await;
        drop(sent);
        if at % 500 == 0 {
            assert!(tested.serves().await, "others are served meanwhile");
        }
    }
    let most = tested.handler.most.load(Ordering::Relaxed);
    assert!(most <= 51, "{most} requests at work at once");
    drop(sender);
    ended.abort();
    for _ in 0..600 {
        if tested.handler.at_work.load(Ordering::Relaxed) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tested.handler.at_work.load(Ordering::Relaxed), 0, "nothing stays behind");
    assert!(tested.serves().await);
}

/// The handler never looks at the body, and the client not at the answer until
/// all is sent: most clients give up where they cannot send.
#[tokio::test]
async fn an_answer_survives_a_body_that_nobody_reads() {
    let tested = Tested::start(Limits::default());
    let mut stream = tested.connect(b"http/1.1").await.expect("a connection");
    let half = vec![b'x'; 1 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 2 * half.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    timeout(PATIENCE, stream.write_all(&half)).await.expect("in time").expect("taken");
    tokio::time::sleep(Duration::from_millis(100)).await;
    timeout(PATIENCE, stream.write_all(&half)).await.expect("in time").expect("taken");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answer.escape_ascii());
}
