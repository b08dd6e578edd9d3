//! Network namespaces for tests: a node without any link but loopback, and
//! pods. They live as long as their threads and files; a test that dies
//! leaves nothing behind.

use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

pub const PATIENCE: Duration = Duration::from_secs(3);

/// Runs `test` on a thread whose network namespace is its own, with loopback
/// up and no route to anywhere, on a current-thread runtime.
pub fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root: they make network namespaces");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A namespace that is held open by its file.
pub struct Namespace(File);

impl Namespace {
    pub fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(std::thread::spawn(make).join().unwrap())
    }

    /// The namespace of the calling thread.
    pub fn current() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Starts `work` on a thread inside.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let file = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(work).join().unwrap()
    }

    /// A TCP server that answers each connection with `name` and the address
    /// that it sees, until the test ends.
    pub fn serve_tcp(&self, name: &'static str, address: impl Into<SocketAddr>) {
        let address = address.into();
        let listener = self.run(move || TcpListener::bind(address).unwrap());
        self.start(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let peer = stream.peer_addr().unwrap().ip().to_canonical();
                let _ = write!(stream, "{name} saw {peer}");
            }
        });
    }

    /// The same over UDP.
    pub fn serve_udp(&self, name: &'static str, address: impl Into<SocketAddr>) {
        let address = address.into();
        let socket = self.run(move || UdpSocket::bind(address).unwrap());
        self.start(move || {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{name} saw {}", peer.ip()).as_bytes(), peer);
            }
        });
    }

    /// What a TCP server there says.
    pub fn ask_tcp(&self, to: impl Into<SocketAddr>) -> std::io::Result<String> {
        let to = to.into();
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            Ok(said)
        })
    }

    pub fn ask_udp(&self, to: impl Into<SocketAddr>) -> std::io::Result<String> {
        let to = to.into();
        self.run(move || {
            let any: IpAddr = if to.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(to)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(b"?")?;
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }
}

/// Runs iproute2 in the calling thread's namespace and gives what it says.
pub fn ip(arguments: &str) -> String {
    command("ip", arguments)
}

pub fn command(program: &str, arguments: &str) -> String {
    let output = std::process::Command::new(program).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
