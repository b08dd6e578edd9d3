//! Bodies of answers: bytes that are there, or a stream of them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The body of an answer. Streams end early where the server stops.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// As it comes; an error breaks the connection.
    Stream(BoxStream<'static, Result<Bytes, std::io::Error>>),
}

impl Body {
    pub fn empty() -> Self {
        Body::Full(Bytes::new())
    }

    /// Keeps `guard` until the body is sent; one that is there already needs no guard.
    pub(crate) fn guarded<G: Send + Unpin + 'static>(self, guard: G) -> Self {
        match self {
            Body::Stream(stream) => Body::Stream(Guarded { stream, _guard: guard }.boxed()),
            full => full,
        }
    }

    /// A stream that cannot fail.
    pub(crate) fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Body::Stream(stream.map(Ok).boxed())
    }
}

/// A stream that keeps `guard` as long as it lives.
struct Guarded<G> {
    stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    _guard: G,
}

impl<G: Unpin> Stream for Guarded<G> {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().stream.poll_next_unpin(context)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(stream) => {
                stream.poll_next_unpin(context).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}
