//! `healthCheckNodePort`: tells load balancers whether this node has ready
//! endpoints of a Service with `externalTrafficPolicy: Local`.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use edge::{Edge, Task};
use informer::ObjectKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Askers at once, for each port; more are closed at once.
const ASKERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_REQUEST: usize = 4096;

/// Whose port it is and how many ready endpoints are here.
pub(crate) type State = (ObjectKey, usize);

/// The listeners, one a port.
pub(crate) struct Health {
    edge: Edge,
    listeners: BTreeMap<u16, (watch::Sender<State>, Task<()>)>,
}

impl Health {
    pub fn new(edge: Edge) -> Self {
        Self { edge, listeners: BTreeMap::new() }
    }

    /// Listens on exactly these ports.
    pub fn set(&mut self, wanted: BTreeMap<u16, State>) {
        self.listeners.retain(|port, (_, task)| {
            let stays = wanted.contains_key(port);
            if !stays {
                task.abort();
            }
            stays
        });
        for (port, state) in wanted {
            match self.listeners.get(&port) {
                Some((sender, _)) => drop(sender.send_replace(state)),
                None => {
                    let (sender, receiver) = watch::channel(state);
                    let task = self.edge.tasks.spawn(listen(self.edge.clone(), port, receiver));
                    self.listeners.insert(port, (sender, task));
                }
            }
        }
    }
}

async fn listen(edge: Edge, port: u16, state: watch::Receiver<State>) {
    let bound = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    };
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => {
            let service = state.borrow().0.to_string();
            tracing::error!(port, service, %error, "load balancers cannot ask for a service's health on this node");
            return;
        }
    };
    let askers = Arc::new(Semaphore::new(ASKERS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(turn) = askers.clone().try_acquire_owned() else { continue };
        let (name, count) = state.borrow().clone();
        edge.tasks.spawn(async move {
            let _turn = turn;
            // An asker that goes away is no matter of ours.
            let _ = timeout(PATIENCE, tell(stream, &name, count)).await;
        });
    }
}

async fn tell(mut stream: TcpStream, name: &ObjectKey, count: usize) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(response(name, count).as_bytes()).await?;
    stream.shutdown().await
}

/// As kube-proxy's: 200 with endpoints, 503 without.
fn response(name: &ObjectKey, count: usize) -> String {
    let status = if count > 0 { "200 OK" } else { "503 Service Unavailable" };
    // Names of objects need no escaping in JSON.
    let (namespace, name) = (&name.namespace, &name.name);
    let body = format!(
        "{{\"service\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\"}},\
         \"localEndpoints\":{count},\"serviceProxyHealthy\":true}}"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\
         X-Load-Balancing-Endpoint-Weight: {count}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_tells_how_many_endpoints_are_here() {
        let edge = Edge::system();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut health = Health::new(edge.clone());
        for (count, status) in [(2, "200 OK"), (0, "503 Service")] {
            health.set(BTreeMap::from([(free.port(), (ObjectKey::new("default", "web"), count))]));
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut stream = TcpStream::connect(free).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
            assert!(said.contains(&format!("\"localEndpoints\":{count}")), "{said}");
        }
        health.set(BTreeMap::new());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(free).await.is_err());
        edge.tasks.stop();
    }
}
