//! What goes wrong between the API and its users: it is gone, answers get
//! lost, watches break, repeat themselves or lag behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apimachinery::Status;
use apiserver::{ApiServer, LocalTransport, UserInfo};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use client::{
    Document, Error, List, ListOptions, Request, Resource, Transport, WatchEvent, WatchKind, WatchStream,
};
use edge::{Edge, Random, Tasks};
use futures::StreamExt;
use parking_lot::Mutex;

/// The API as its users reach it. The process behind it comes and goes.
pub struct Api {
    server: ArcSwapOption<ApiServer>,
    /// What the connections of now hang on.
    connections: Mutex<Tasks>,
    tasks: Tasks,
    /// Requests and watches fail at random.
    pub stormy: AtomicBool,
    random: Arc<dyn Random>,
}

impl Api {
    pub fn new(server: Arc<ApiServer>, edge: &Edge) -> Arc<Self> {
        Arc::new(Self {
            server: ArcSwapOption::from(Some(server)),
            connections: Mutex::new(edge.tasks.child()),
            tasks: edge.tasks.clone(),
            stormy: AtomicBool::new(false),
            random: edge.random.clone(),
        })
    }

    /// The process dies, and whatever was under way with it.
    pub fn crash(&self) {
        self.server.store(None);
        self.break_connections();
    }

    pub fn revive(&self, server: Arc<ApiServer>) {
        self.server.store(Some(server));
    }

    /// Every request under way and every watch ends.
    pub fn break_connections(&self) {
        let broken = std::mem::replace(&mut *self.connections.lock(), self.tasks.child());
        broken.stop();
    }

    /// One in `chance`, while it storms.
    fn fails(&self, chance: u64) -> bool {
        self.stormy.load(Ordering::Relaxed) && self.random.below(chance) == 0
    }

    fn server(&self) -> Result<Arc<ApiServer>, Error> {
        self.server.load_full().ok_or_else(|| gone("connection refused"))
    }
}

fn gone(why: &str) -> Error {
    Error::Unreachable(Arc::from(why))
}

/// A machine's way to the API, which may be cut.
#[derive(Default)]
pub struct Line(Mutex<Option<Tasks>>);

impl Line {
    /// From now on nothing comes through, and what is under way ends.
    pub fn cut(&self) {
        if let Some(whole) = self.0.lock().take() {
            whole.stop();
        }
    }

    pub fn mend(&self, edge: &Edge) {
        *self.0.lock() = Some(edge.tasks.child());
    }

    fn connection(&self) -> Result<Tasks, Error> {
        self.0.lock().clone().ok_or_else(|| gone("no route to host"))
    }
}

/// One user's way in.
pub struct Faulty {
    pub api: Arc<Api>,
    pub user: UserInfo,
    pub agent: String,
    /// People's own requests are lost only with the API itself.
    pub reliable: bool,
    /// Where the user is on a machine of its own.
    pub line: Option<Arc<Line>>,
}

impl Faulty {
    fn local(&self) -> Result<LocalTransport, Error> {
        Ok(LocalTransport::new(self.api.server()?, self.user.clone(), &self.agent))
    }

    /// Ends when the machine's line is cut; never where there is none.
    fn whole(&self) -> Result<Option<Tasks>, Error> {
        self.line.as_ref().map(|line| line.connection()).transpose()
    }

    fn fails(&self, chance: u64) -> bool {
        !self.reliable && self.api.fails(chance)
    }

    /// Ends with the connection. Takes a moment, so that others come in between.
    async fn connected<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (connection, whole) = (self.api.connections.lock().clone(), self.whole()?);
        if self.fails(30) {
            return Err(gone("connection reset"));
        }
        tokio::time::sleep(Duration::from_micros(self.api.random.below(2000))).await;
        let answer = tokio::select! {
            biased;
            () = connection.stopped() => return Err(gone("connection reset")),
            () = stopped(whole.as_ref()) => return Err(gone("connection timed out")),
            answer = answer => answer?,
        };
        // It was done, and nobody heard of it.
        if self.fails(40) { Err(gone("unexpected EOF")) } else { Ok(answer) }
    }
}

#[async_trait]
impl Transport for Faulty {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        let local = self.local()?;
        self.connected(local.call(request)).await
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        let local = self.local()?;
        self.connected(local.list(resource, namespace, options)).await
    }

    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        if self.fails(4) {
            // The window is gone: everything is listed again.
            return Err(Status::expired("too old resource version").into());
        }
        let local = self.local()?;
        let (connection, whole) = (self.api.connections.lock().clone(), self.whole()?);
        let inner = self.connected(local.watch(resource, namespace, options)).await?;
        let state = Watching { inner, connection, whole, api: self.api.clone(), again: None };
        Ok(futures::stream::unfold(state, Watching::next).boxed())
    }
}

async fn stopped(line: Option<&Tasks>) {
    match line {
        Some(line) => line.stopped().await,
        None => std::future::pending().await,
    }
}

struct Watching {
    inner: WatchStream,
    connection: Tasks,
    whole: Option<Tasks>,
    api: Arc<Api>,
    /// The last event, which comes once more.
    again: Option<WatchEvent>,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<WatchEvent, Error>, Self)> {
        if let Some(event) = self.again.take() {
            return Some((Ok(event), self));
        }
        let event = tokio::select! {
            biased;
            () = self.connection.stopped() => return None,
            () = stopped(self.whole.as_ref()) => return None,
            event = self.inner.next() => event?,
        };
        if self.api.fails(10) {
            // The view falls behind.
            tokio::time::sleep(Duration::from_millis(self.api.random.below(1500))).await;
        }
        if let Ok(event) = &event
            && event.kind == WatchKind::Modified
            && self.api.fails(20)
        {
            self.again = Some(event.clone());
        }
        Some((event, self))
    }
}
