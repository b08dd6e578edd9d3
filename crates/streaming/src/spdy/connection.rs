//! A connection with its streams: the driver reads frames and hands their
//! bytes to streams, and writes what streams have to say.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::frame::{self, Frame};
use super::headers::{Decoder, Encoder, Headers};
use crate::Error;

/// Largest piece of a stream's bytes in one frame.
const CHUNK: usize = 16 << 10;
/// Frames that may wait for a slow stream before the connection waits.
const BACKLOG: usize = 16;
/// More streams at once than any client opens.
const MOST_STREAMS: usize = 1024;
const INVALID_STREAM: u32 = 2;
const REFUSED_STREAM: u32 = 3;

enum Outgoing {
    Frame(Bytes),
    /// Everything before it is written and flushed.
    Flushed(oneshot::Sender<()>),
}

/// Gives the streams that the client opens.
pub struct Connection {
    opened: mpsc::Receiver<Stream>,
    out: mpsc::Sender<Outgoing>,
}

/// Moves the connection; ends with it.
pub type Driver = BoxFuture<'static, Result<(), Error>>;

pub(super) fn over<T: AsyncRead + AsyncWrite + Send + 'static>(transport: T) -> (Connection, Driver) {
    let (out, outgoing) = mpsc::channel(BACKLOG);
    let (open, opened) = mpsc::channel(BACKLOG);
    let (reader, writer) = tokio::io::split(transport);
    let replies = out.clone();
    let driver = async move {
        let mut reading = std::pin::pin!(read(reader, open, replies));
        let mut writing = std::pin::pin!(write(writer, outgoing));
        tokio::select! {
            read = &mut reading => read,
            written = &mut writing => written.map_err(Error::Broken),
        }
    };
    (Connection { opened, out }, Box::pin(driver))
}

impl Connection {
    /// The next stream that the client opens; None when it is gone.
    pub async fn next_stream(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }

    /// Waits until everything that was given to streams is on the wire.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.out.send(Outgoing::Flushed(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

async fn write(mut to: impl AsyncWrite + Unpin, mut outgoing: mpsc::Receiver<Outgoing>) -> io::Result<()> {
    while let Some(first) = outgoing.recv().await {
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Outgoing::Frame(bytes) => to.write_all(&bytes).await?,
                Outgoing::Flushed(done) => {
                    to.flush().await?;
                    let _ = done.send(());
                }
            }
            next = outgoing.try_recv().ok();
        }
        to.flush().await?;
    }
    to.shutdown().await
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    open: mpsc::Sender<Stream>,
    out: mpsc::Sender<Outgoing>,
) -> Result<(), Error> {
    let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
    let mut streams: BTreeMap<u32, mpsc::Sender<Bytes>> = BTreeMap::new();
    let mut buffer = BytesMut::with_capacity(4 << 10);
    let send = async |bytes: Bytes| {
        // The writer's end ends this too: nothing to do about a lost frame.
        let _ = out.send(Outgoing::Frame(bytes)).await;
    };
    loop {
        while let Some(frame) = frame::take(&mut buffer)? {
            match frame {
                Frame::Data { stream, fin, bytes } => {
                    match streams.get(&stream) {
                        None => send(frame::reset(stream, INVALID_STREAM)).await,
                        // A stream whose reader is gone takes bytes no more; they are dropped.
                        Some(to) if !bytes.is_empty() => drop(to.send(bytes).await),
                        Some(_) => {}
                    }
                    if fin {
                        streams.remove(&stream);
                    }
                }
                Frame::SynStream { stream: id, fin, block } => {
                    let headers = decoder.decode(&block)?;
                    streams.retain(|_, to| !to.is_closed());
                    if streams.len() >= MOST_STREAMS {
                        send(frame::reset(id, REFUSED_STREAM)).await;
                        continue;
                    }
                    let (to, input) = mpsc::channel(BACKLOG);
                    if !fin {
                        streams.insert(id, to);
                    }
                    send(frame::syn_reply(id, &encoder.encode(&[]))).await;
                    let stream = Stream {
                        id,
                        headers,
                        input,
                        rest: Bytes::new(),
                        out: PollSender::new(out.clone()),
                        shut: false,
                    };
                    if open.send(stream).await.is_err() {
                        send(frame::reset(id, REFUSED_STREAM)).await;
                    }
                }
                // They share the compression window, so they must be read.
                Frame::Headers { block } => drop(decoder.decode(&block)?),
                Frame::Reset { stream } => drop(streams.remove(&stream)),
                Frame::Ping { id } if id % 2 == 1 => send(frame::ping(id)).await,
                Frame::GoAway => return Ok(()),
                Frame::Ping { .. } | Frame::Ignored => {}
            }
        }
        if from.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// One stream: its bytes both ways and the headers it was opened with.
pub struct Stream {
    id: u32,
    headers: Headers,
    input: mpsc::Receiver<Bytes>,
    rest: Bytes,
    out: PollSender<Outgoing>,
    shut: bool,
}

impl Stream {
    pub fn id(&self) -> u32 {
        self.id
    }

    /// A header by its lower-case name; "" where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value)
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        frame: impl FnOnce(u32) -> Bytes,
    ) -> Poll<io::Result<()>> {
        ready!(self.out.poll_reserve(context)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        let frame = frame(self.id);
        self.out.send_item(Outgoing::Frame(frame)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.input.poll_recv(context)) {
                Some(bytes) => self.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(CHUNK);
        ready!(self.poll_send(context, |id| frame::data(id, false, &bytes[..length])))?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(self.poll_send(context, |id| frame::data(id, true, &[])))?;
            self.shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Does `work` while `driver` moves the connection; None when the connection
/// ended first.
pub async fn drive<T>(driver: Driver, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        _ = driver => None,
    }
}
