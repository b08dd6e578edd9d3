//! /containerLogs: reading a log, and following it as the kernel tells of
//! writes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::{SignedDuration, Timestamp};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::log_filter::{Filter, Wanted};
use super::query::Query;
use super::{Answer, NodeServer, Refusal, not_found, switching};
use crate::pod::spec::PodExt;
use crate::pod::worker::Snapshot;

/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;
/// Pieces that wait for a slow client.
const WAITING: usize = 4;

struct Options {
    wanted: Wanted,
    follow: bool,
    tail: Option<u64>,
}

impl NodeServer {
    pub(super) fn container_logs<B: Send + 'static>(
        &self,
        request: &mut Request<B>,
        snapshot: &Arc<Snapshot>,
        container: &str,
    ) -> Answer {
        let query = Query::of(request.uri());
        let options = options(&query, self.kubelet.context.now())
            .map_err(|why| Refusal(StatusCode::UNPROCESSABLE_ENTITY, why))?;
        let attempt = attempt(snapshot, container, query.flag(&["previous"]))?;
        let path =
            self.kubelet.context.pod_logs(&snapshot.pod).join(container).join(format!("{attempt}.log"));
        let follow = options.follow.then(|| self.kubelet.manager.watch(snapshot.pod.uid())).flatten();
        let (send, receive) = mpsc::channel(WAITING);
        let reader = Reader { path, options, attempt, container: container.to_owned(), follow, send };
        self.kubelet.context.drivers.edge.tasks.spawn(reader.run());
        let pieces =
            futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        if streaming::websocket::is_requested(request.headers()) {
            let (response, tailing) = streaming::tail(request)?;
            let reader = tokio_util::io::StreamReader::new(Box::pin(pieces));
            self.kubelet.context.drivers.edge.tasks.spawn(async move {
                if let Err(error) = tailing.serve(reader).await {
                    tracing::debug!(%error, "a client left its log");
                }
            });
            return Ok(switching(response));
        }
        let mut response =
            Response::new(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync());
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
        Ok(response)
    }
}

fn options(query: &Query, now: Timestamp) -> Result<Options, String> {
    let since = match (query.number("sinceSeconds")?, query.get("sinceTime").filter(|text| !text.is_empty()))
    {
        (Some(_), Some(_)) => {
            return Err("at most one of `sinceTime` or `sinceSeconds` may be specified".into());
        }
        (Some(seconds), None) => {
            let seconds = i64::try_from(seconds).map_err(|_| "sinceSeconds is too large".to_owned())?;
            Some(now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN))
        }
        (None, Some(text)) => {
            Some(text.parse().map_err(|error| format!("sinceTime cannot be read: {error}"))?)
        }
        (None, None) => None,
    };
    let stream = match query.get("stream") {
        Some("Stdout") => Some("stdout"),
        Some("Stderr") => Some("stderr"),
        _ => None,
    };
    Ok(Options {
        wanted: Wanted {
            since,
            timestamps: query.flag(&["timestamps"]),
            limit_bytes: query.number("limitBytes")?,
            stream,
        },
        follow: query.flag(&["follow"]),
        tail: query.number("tailLines")?,
    })
}

/// Which attempt's log is meant. The errors are those of upstream, for people.
fn attempt(snapshot: &Snapshot, container: &str, previous: bool) -> Result<u32, Refusal> {
    let pod = snapshot.pod.name();
    if snapshot.pod.container(container).is_none() {
        return Err(not_found(format!("container {container:?} not found in pod {pod:?}")));
    }
    let bad = |why: String| Refusal(StatusCode::BAD_REQUEST, why);
    let newest = snapshot.containers.iter().find(|one| one.name == container);
    match (newest, previous) {
        (Some(one), false) => Ok(one.attempt),
        (Some(one), true) => one.attempt.checked_sub(1).ok_or_else(|| {
            bad(format!("previous terminated container {container:?} in pod {pod:?} not found"))
        }),
        (None, true) => {
            Err(bad(format!("previous terminated container {container:?} in pod {pod:?} not found")))
        }
        (None, false) => {
            let state = snapshot.pod.container_status(container).and_then(|status| status.state.as_ref());
            let reason =
                state.and_then(|state| state.waiting.as_ref()).and_then(|waiting| waiting.reason.as_deref());
            let message = match reason {
                Some("ErrImagePull") => "image can't be pulled",
                Some("ImagePullBackOff") => "trying and failing to pull image",
                Some(reason) => reason,
                None => "ContainerCreating",
            };
            Err(bad(format!("container {container:?} in pod {pod:?} is waiting to start: {message}")))
        }
    }
}

struct Reader {
    path: PathBuf,
    options: Options,
    attempt: u32,
    container: String,
    follow: Option<watch::Receiver<Arc<Snapshot>>>,
    send: mpsc::Sender<io::Result<Bytes>>,
}

impl Reader {
    async fn run(mut self) {
        if let Err(error) = self.read().await {
            let _ = self.send.send(Err(error)).await;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        // Watching begins before reading, so that no write is missed.
        let inotify = match &self.follow {
            Some(_) => Some(watched(self.path.parent().unwrap_or(Path::new("/")))?),
            None => None,
        };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // A container that has written nothing yet may have no log.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.follow.is_none() => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(lines) = self.options.tail {
            let start = tail_start(&mut file, lines)?;
            file.seek(SeekFrom::Start(start))?;
        }
        let mut filter = Filter::new(self.options.wanted.clone());
        let mut rest = Vec::new();
        loop {
            let over = self.is_over();
            if !self.drain(&mut file, &mut rest, &mut filter).await? || filter.is_full() {
                return Ok(());
            }
            let Some(inotify) = &inotify else { return Ok(()) };
            if is_replaced(&file, &self.path) {
                file = File::open(&self.path)?;
                continue;
            }
            // The end was seen before the last read: nothing can follow.
            if over {
                return Ok(());
            }
            let changed = async {
                let mut ready = inotify.readable().await?;
                // What happened does not matter: the file is read on.
                let mut events = [0; 4096];
                while nix::unistd::read(inotify.get_ref(), &mut events).is_ok_and(|read| read > 0) {}
                ready.clear_ready();
                io::Result::Ok(())
            };
            let Some(follow) = &mut self.follow else { return Ok(()) };
            tokio::select! {
                changed = changed => changed?,
                told = follow.changed() => {
                    if told.is_err() {
                        // The pod is gone from the node; what is written is written.
                        self.follow = None;
                        self.drain(&mut file, &mut rest, &mut filter).await?;
                        return Ok(());
                    }
                }
                () = self.send.closed() => return Ok(()),
            }
        }
    }

    /// The attempt does not run any more.
    fn is_over(&mut self) -> bool {
        self.follow.as_mut().is_some_and(|follow| {
            let snapshot = follow.borrow_and_update();
            !snapshot
                .containers
                .iter()
                .any(|one| one.name == self.container && one.attempt == self.attempt && one.running)
        })
    }

    /// Sends everything up to the file's end; false when the client is gone.
    async fn drain(&self, file: &mut File, rest: &mut Vec<u8>, filter: &mut Filter) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(true);
            }
            rest.extend_from_slice(&chunk[..read]);
            let mut out = Vec::with_capacity(read);
            let mut taken = 0;
            while let Some(end) = rest[taken..].iter().position(|byte| *byte == b'\n') {
                if !filter.is_full() {
                    filter.take(&rest[taken..taken + end], &mut out);
                }
                taken += end + 1;
            }
            rest.drain(..taken);
            if !out.is_empty() && self.send.send(Ok(out.into())).await.is_err() {
                return Ok(false);
            }
            if filter.is_full() {
                return Ok(true);
            }
        }
    }
}

fn watched(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(
        directory,
        AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO,
    )?;
    // SAFETY: the descriptor is owned by the AsyncFd and is not closed before it.
    unsafe { AsyncFd::register(inotify.into()) }.map_err(io::Error::from)
}

/// The log was rotated: its name is another file's now.
fn is_replaced(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino(),
        _ => false,
    }
}

/// Where the last `lines` lines begin.
fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut ends = 0;
    let mut at = length;
    let mut block = vec![0; CHUNK];
    while at > 0 {
        let size = (at as usize).min(CHUNK);
        at -= size as u64;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut block[..size])?;
        for (index, byte) in block[..size].iter().enumerate().rev() {
            // The last line's own end does not begin another.
            if *byte == b'\n' && at + index as u64 + 1 < length {
                ends += 1;
                if ends == lines {
                    return Ok(at + index as u64 + 1);
                }
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn tails_begin_at_lines() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        for (lines, expected) in [(0, 14), (1, 8), (2, 4), (3, 0), (9, 0)] {
            assert_eq!(tail_start(&mut file, lines).unwrap(), expected, "{lines}");
        }
        let mut long = tempfile::tempfile().unwrap();
        for number in 0..20_000 {
            writeln!(long, "{number:09}").unwrap();
        }
        assert_eq!(tail_start(&mut long, 10_000).unwrap(), 100_000);
    }
}
