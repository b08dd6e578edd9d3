//! A connection on which many streams write small pieces. HTTP/2 flushes after
//! each frame, which would make each event of each watch a TLS record and a
//! system call of its own; here the pieces wait until the runtime has run what
//! was ready and nothing was added, and then go out together.
//!
//! It never waits for time to pass, and never holds back more than [`MOST`].

use std::future::Future;
use std::io::{IoSlice, Result};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much goes out at once; a piece that is not much smaller goes out alone.
const MOST: usize = 64 << 10;
/// A piece from this size on is not worth being copied. Frames are of 16 KiB at
/// most where the client did not ask for more.
const LARGE: usize = 32 << 10;
/// How often the task is run at most before what waits goes out.
const TURNS: u8 = 8;
/// What a connection that sends little keeps of its buffer.
const KEPT: usize = 4 << 10;

/// See the module. The user must poll for reading whenever its task runs, as
/// hyper's HTTP/2 does: what waits is sent from there.
pub(crate) struct Gathered<S> {
    stream: S,
    /// HTTP/1 writes whole messages and is passed through.
    gathers: bool,
    waiting: Vec<u8>,
    /// How much of `waiting` is written.
    written: usize,
    /// How much waited when the task began to run last.
    seen: usize,
    /// How much went out together lately, which is kept as room for the next.
    usual: usize,
    /// How often the task began to run since something waits.
    turns: u8,
    /// What waits is on its way out.
    drains: bool,
}

/// Has the task run again after those that are ready now.
fn run_again(context: &mut Context<'_>) {
    // Its first poll hands the waker to the runtime, which is all that is wanted.
    let _ = pin!(tokio::task::yield_now()).poll(context);
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    pub fn new(stream: S, gathers: bool) -> Self {
        Self { stream, gathers, waiting: Vec::new(), written: 0, seen: 0, usual: 0, turns: 0, drains: false }
    }

    /// Writes what waits and flushes it.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.drains = true;
        while self.written < self.waiting.len() {
            let rest = &self.waiting[self.written..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.waiting.is_empty() {
            // The rest of a burst says little of the next one.
            self.usual = self.waiting.len().max(self.usual - self.usual / 8);
        }
        self.waiting.clear();
        self.waiting.shrink_to(self.usual.max(KEPT));
        (self.written, self.seen, self.turns) = (0, 0, 0);
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(done) => {
                self.drains = false;
                Poll::Ready(done)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The task runs: either it may have more to add, and is run again after
    /// those that are ready now, or what waits goes out.
    fn turn(&mut self, context: &mut Context<'_>) -> Result<()> {
        let grown = self.waiting.len() > self.seen;
        if !self.drains {
            if self.waiting.is_empty() {
                return Ok(());
            }
            if grown && self.turns < TURNS && self.waiting.len() < MOST / 2 {
                self.seen = self.waiting.len();
                self.turns += 1;
                run_again(context);
                return Ok(());
            }
        }
        match self.drain(context) {
            // Where the peer is slow, the task is run again once it is not.
            Poll::Pending => Ok(()),
            Poll::Ready(done) => done,
        }
    }

    /// Takes `pieces`, or as much of them as there is room for.
    fn gather(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.drains || total >= LARGE || self.waiting.len() + total > MOST {
            match self.drain(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if total >= LARGE {
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        if self.waiting.is_empty() {
            self.waiting.reserve(self.usual);
            run_again(context);
        }
        pieces.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
        Poll::Ready(Ok(total))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        if let Err(error) = this.turn(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, piece: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.gathers {
            this.gather(context, pieces)
        } else {
            Pin::new(&mut this.stream).poll_write_vectored(context, pieces)
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.gathers || self.stream.is_write_vectored()
    }

    /// Done at once where pieces wait for others: the task's next turns send them.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if !this.gathers {
            Pin::new(&mut this.stream).poll_flush(context)
        } else if this.drains {
            this.drain(context)
        } else if this.waiting.is_empty() {
            // A large piece went past.
            Pin::new(&mut this.stream).poll_flush(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        match this.drain(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.stream).poll_shutdown(context),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    /// A peer that takes so many bytes at most until it is emptied, and keeps each write apart.
    #[derive(Default)]
    struct Peer {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncRead for Peer {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, piece: &[u8]) -> Poll<Result<usize>> {
            let count = piece.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.room -= count;
            self.writes.push(piece[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection and how its task is run: once for each wake, as HTTP/2 runs it.
    struct Task {
        connection: Gathered<Peer>,
        wakes: Arc<Wakes>,
    }

    impl Task {
        fn new(room: usize) -> Self {
            let peer = Peer { room, ..Peer::default() };
            Self { connection: Gathered::new(peer, true), wakes: Arc::default() }
        }

        /// Runs the task once: it reads, and writes what its streams have. Gives
        /// what found no room.
        fn run(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
            let waker = Waker::from(self.wakes.clone());
            let context = &mut Context::from_waker(&waker);
            let connection = &mut self.connection;
            assert!(
                Pin::new(&mut *connection).poll_read(context, &mut ReadBuf::new(&mut [0; 8])).is_pending()
            );
            let mut rest = pieces.concat();
            for piece in pieces {
                let mut piece = *piece;
                while !piece.is_empty() {
                    match Pin::new(&mut *connection).poll_write(context, piece) {
                        Poll::Ready(count) => {
                            let count = count.unwrap();
                            piece = &piece[count..];
                            rest.drain(..count);
                        }
                        Poll::Pending => return rest,
                    }
                }
                if Pin::new(&mut *connection).poll_flush(context).is_pending() {
                    return rest;
                }
            }
            rest
        }

        /// Runs it as long as it wakes itself.
        fn settle(&mut self) {
            while self.wakes.0.swap(0, Ordering::Relaxed) > 0 {
                self.run(&[]);
            }
        }
    }

    #[test]
    fn pieces_of_several_turns_go_out_together() {
        let mut task = Task::new(usize::MAX);
        task.run(&[b"a", b"b"]);
        assert_eq!(task.wakes.0.swap(0, Ordering::Relaxed), 1, "the task is run again");
        task.run(&[b"c"]);
        task.settle();
        assert_eq!(task.connection.stream.writes, [b"abc"]);
        task.settle();
        assert_eq!(task.wakes.0.load(Ordering::Relaxed), 0, "an idle connection sleeps");
    }

    #[test]
    fn a_stream_that_always_adds_holds_nothing_up() {
        let mut task = Task::new(usize::MAX);
        for _ in 0..=usize::from(TURNS) + 1 {
            task.run(&[b"x"]);
        }
        assert_eq!(task.connection.stream.writes.len(), 1);
    }

    #[test]
    fn a_large_piece_is_not_copied_and_not_overtaken() {
        let mut task = Task::new(usize::MAX);
        let large = vec![b'l'; LARGE];
        task.run(&[b"before", &large, b"after"]);
        task.settle();
        assert_eq!(task.connection.stream.writes, [b"before".as_slice(), &large, b"after"]);
    }

    #[test]
    fn a_slow_peer_gets_everything_in_order() {
        let mut task = Task::new(0);
        let sent: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        let mut rest = sent.clone();
        let mut most = 0;
        for round in 0..10_000 {
            let pieces: Vec<&[u8]> = rest.chunks(1 + round * 37 % 48_000).collect();
            rest = task.run(&pieces);
            most = most.max(task.connection.waiting.len());
            task.connection.stream.room = round * 101 % 5_000;
            task.run(&[]);
        }
        assert!(rest.is_empty() && most <= MOST, "{} left, {most} waited", rest.len());
        assert_eq!(task.connection.stream.writes.concat(), sent);
    }
}
