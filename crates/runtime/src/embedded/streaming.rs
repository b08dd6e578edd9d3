//! Exec and attach: connecting a caller's streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use edge::Tasks;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::unix::{OwnedWriteHalf, pipe};
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use crate::attach::{self, Kind};
use crate::protocol::{Exec, Reply, Request};
use crate::{AttachOptions, ContainerId, Error, ExecOptions, ExecOutput, Result, Streams, WindowSize};

/// Most that is kept of each stream of a command run by exec_sync.
const MOST_OUTPUT: u64 = 16 << 20;
/// How long output is waited for after the command itself has ended; what it
/// left running may hold the pipes for ever.
const DRAIN: Duration = Duration::from_secs(1);

fn pipes() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| Error::System(format!("pipe: {e}")))
}

fn null() -> Result<OwnedFd> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("/dev/null"))?;
    Ok(file.into())
}

fn lost(error: &io::Error) -> Error {
    Error::System(format!("the shim has closed the connection: {error}"))
}

/// Makes sense of the answer to an exec.
fn executing(id: &ContainerId, reply: Reply) -> Result<()> {
    match reply {
        Reply::Executing { .. } => Ok(()),
        Reply::StartFailed { message } => {
            Err(Error::Start { reason: "StartError", exit_code: start_exit_code(&message), message })
        }
        Reply::Failed { message } => Err(Error::Precondition(message)),
        Reply::NotFound => Err(Error::Precondition(format!("container {id} is not running"))),
        other => Err(Error::System(format!("the shim answered {other:?} to an exec"))),
    }
}

/// As shells: 127 for what is not there, 126 for what cannot be run.
fn start_exit_code(message: &str) -> i32 {
    if message.contains("not found") || message.contains("no such file") { 127 } else { 126 }
}

async fn exit_of(link: &mut Link) -> Result<i32> {
    match link.receive().await.map_err(|e| lost(&e))? {
        Reply::Executed { exit_code } => Ok(exit_code),
        other => Err(Error::System(format!("the shim said {other:?} instead of an exit code"))),
    }
}

pub(super) async fn exec_sync(
    mut link: Link,
    id: &ContainerId,
    command: &[String],
    timeout: Duration,
) -> Result<ExecOutput> {
    let (stdout, stdout_child) = pipes()?;
    let (stderr, stderr_child) = pipes()?;
    let stdin = null()?;
    let exec = Exec { id: id.clone(), command: command.to_vec(), tty: false, kill_on_close: true };
    let run = async {
        link.send(&Request::Exec(exec), &[stdin.as_fd(), stdout_child.as_fd(), stderr_child.as_fd()])
            .await
            .map_err(|e| lost(&e))?;
        drop((stdin, stdout_child, stderr_child));
        executing(id, link.receive().await.map_err(|e| lost(&e))?)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit_code = {
            let reading = async { tokio::join!(read_most(stdout, &mut out), read_most(stderr, &mut err)) };
            tokio::pin!(reading);
            tokio::select! {
                _ = &mut reading => exit_of(&mut link).await?,
                code = exit_of(&mut link) => {
                    let _ = tokio::time::timeout(DRAIN, &mut reading).await;
                    code?
                }
            }
        };
        Ok(ExecOutput { stdout: out, stderr: err, exit_code })
    };
    if timeout.is_zero() {
        return run.await;
    }
    // Dropping the connection has the shim kill the command.
    match tokio::time::timeout(timeout, run).await {
        Ok(done) => done,
        Err(_) => Err(Error::Timeout { command: command.to_vec(), seconds: timeout.as_secs_f64() }),
    }
}

/// Reads up to the limit, then to the end into nothing, so that the command
/// does not wait.
async fn read_most(pipe: OwnedFd, into: &mut Vec<u8>) -> io::Result<()> {
    let mut reader = pipe::Receiver::from_owned_fd(pipe)?;
    (&mut reader).take(MOST_OUTPUT).read_to_end(into).await?;
    tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    Ok(())
}

pub(super) async fn exec(
    mut link: Link,
    id: &ContainerId,
    options: ExecOptions,
    tasks: &Tasks,
) -> Result<Streams> {
    let request = Request::Exec(Exec {
        id: id.clone(),
        command: options.command.clone(),
        tty: options.tty,
        kill_on_close: false,
    });
    let (resize, sizes) = mpsc::channel(4);
    if options.tty {
        link.send(&request, &[]).await.map_err(|e| lost(&e))?;
        executing(id, link.receive().await.map_err(|e| lost(&e))?)?;
        let master =
            link.descriptors.pop().ok_or_else(|| Error::System("the shim sent no terminal".into()))?;
        let copy = |master: &OwnedFd| master.try_clone().map_err(Error::io("terminal"));
        let sizing = copy(&master)?;
        tasks.spawn(resize_terminal(sizing, sizes));
        let stdin = options.stdin.then(|| copy(&master).and_then(Terminal::new)).transpose()?;
        let stdout = Terminal::new(master)?;
        return Ok(Streams {
            stdin: stdin.map(|t| Box::pin(t) as Pin<Box<dyn AsyncWrite + Send>>),
            stdout: Some(Box::pin(stdout)),
            stderr: None,
            resize,
            exit: Box::pin(async move { exit_of(&mut link).await }),
        });
    }
    let (stdin_child, stdin) =
        if options.stdin { pipes().map(|(read, write)| (read, Some(write)))? } else { (null()?, None) };
    let (stdout, stdout_child) =
        if options.stdout { pipes().map(|(read, write)| (Some(read), write))? } else { (None, null()?) };
    let (stderr, stderr_child) =
        if options.stderr { pipes().map(|(read, write)| (Some(read), write))? } else { (None, null()?) };
    link.send(&request, &[stdin_child.as_fd(), stdout_child.as_fd(), stderr_child.as_fd()])
        .await
        .map_err(|e| lost(&e))?;
    drop((stdin_child, stdout_child, stderr_child));
    executing(id, link.receive().await.map_err(|e| lost(&e))?)?;
    let reader = |pipe: OwnedFd| -> Result<Pin<Box<dyn AsyncRead + Send>>> {
        Ok(Box::pin(pipe::Receiver::from_owned_fd(pipe).map_err(Error::io("pipe"))?))
    };
    let writer = |pipe: OwnedFd| -> Result<Pin<Box<dyn AsyncWrite + Send>>> {
        Ok(Box::pin(ClosingSender(Some(pipe::Sender::from_owned_fd(pipe).map_err(Error::io("pipe"))?))))
    };
    Ok(Streams {
        stdin: stdin.map(writer).transpose()?,
        stdout: stdout.map(reader).transpose()?,
        stderr: stderr.map(reader).transpose()?,
        resize,
        exit: Box::pin(async move { exit_of(&mut link).await }),
    })
}

async fn resize_terminal(master: OwnedFd, mut sizes: mpsc::Receiver<WindowSize>) {
    while let Some(size) = sizes.recv().await {
        let size =
            rustix::termios::Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = rustix::termios::tcsetwinsize(&master, size);
    }
}

/// A pipe whose `shutdown` closes it, which is how a reader learns of the end.
struct ClosingSender(Option<pipe::Sender>);

impl AsyncWrite for ClosingSender {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// A terminal's master. Its end is EIO, which is told as an end of file.
struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    fn new(master: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&master, true).map_err(|e| Error::System(format!("terminal: {e}")))?;
        // SAFETY: an OwnedFd keeps its descriptor open and the same until it is dropped.
        let registered = unsafe { AsyncFd::register(master) };
        Ok(Self(registered.map_err(|e| Error::System(format!("terminal: {e}")))?))
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *space)?)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            if let Ok(done) = ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(super) async fn attach(
    mut link: Link,
    id: &ContainerId,
    options: AttachOptions,
    tasks: &Tasks,
) -> Result<Streams> {
    match link.call(&Request::Attach { id: id.clone(), options }).await.map_err(|e| lost(&e))? {
        Reply::Done => {}
        Reply::Failed { message } => return Err(Error::Precondition(message)),
        Reply::NotFound => return Err(Error::Precondition(format!("container {id} is not running"))),
        other => return Err(Error::System(format!("the shim answered {other:?} to an attach"))),
    }
    let (stream, rest) = link.into_stream();
    let (reader, writer) = stream.into_split();
    let (resize, sizes) = mpsc::channel(4);
    let (exit, exited) = oneshot::channel();
    let output = |wanted: bool| {
        wanted.then(|| tokio::io::duplex(attach::LONGEST)).map_or((None, None), |(a, b)| (Some(a), Some(b)))
    };
    let (stdout, stdout_end) = output(options.stdout);
    let (stderr, stderr_end) = output(options.stderr);
    let (stdin, stdin_end) = output(options.stdin);
    tasks.spawn(send_input(writer, stdin_end, sizes));
    tasks.spawn(receive_output(reader, rest, stdout_end, stderr_end, exit));
    Ok(Streams {
        stdin: stdin.map(|s| Box::pin(s) as _),
        stdout: stdout.map(|s| Box::pin(s) as _),
        stderr: stderr.map(|s| Box::pin(s) as _),
        resize,
        exit: Box::pin(async move {
            exited.await.map_err(|_| Error::Precondition("the connection to the container has ended".into()))
        }),
    })
}

async fn send_input(
    mut writer: OwnedWriteHalf,
    stdin: Option<tokio::io::DuplexStream>,
    mut sizes: mpsc::Receiver<WindowSize>,
) {
    let mut stdin = stdin;
    let mut bytes = [0; 8 << 10];
    let (mut input_open, mut sizes_open) = (stdin.is_some(), true);
    while input_open || sizes_open {
        let mut out = Vec::new();
        tokio::select! {
            read = async { match &mut stdin { Some(stdin) => stdin.read(&mut bytes).await, None => std::future::pending().await } }, if input_open => match read {
                Ok(count) if count > 0 => attach::push(&mut out, Kind::Stdin, &bytes[..count]),
                _ => {
                    input_open = false;
                    attach::push(&mut out, Kind::CloseStdin, &[]);
                }
            },
            size = sizes.recv(), if sizes_open => match size {
                Some(size) => {
                    let [c0, c1] = size.columns.to_le_bytes();
                    let [r0, r1] = size.rows.to_le_bytes();
                    attach::push(&mut out, Kind::Resize, &[c0, c1, r0, r1]);
                }
                None => sizes_open = false,
            },
        }
        if writer.write_all(&out).await.is_err() {
            return;
        }
    }
    // The caller may still read: the connection lives as long as the other half.
    writer.forget();
}

async fn receive_output(
    mut reader: impl AsyncRead + Unpin,
    mut frames: Vec<u8>,
    mut stdout: Option<tokio::io::DuplexStream>,
    mut stderr: Option<tokio::io::DuplexStream>,
    mut exit: oneshot::Sender<i32>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        loop {
            let (kind, payload) = match attach::take(&mut frames) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(()) => return,
            };
            let stream = match kind {
                Kind::Stdout => &mut stdout,
                Kind::Stderr => &mut stderr,
                Kind::Exit => {
                    if let Ok(code) = <[u8; 4]>::try_from(payload.as_slice()) {
                        let _ = exit.send(i32::from_le_bytes(code));
                    }
                    return;
                }
                _ => continue,
            };
            // A caller who no longer reads one stream may still read the other.
            if let Some(open) = stream
                && open.write_all(&payload).await.is_err()
            {
                *stream = None;
            }
        }
        tokio::select! {
            read = reader.read(&mut bytes) => match read {
                Ok(count) if count > 0 => frames.extend_from_slice(&bytes[..count]),
                _ => return,
            },
            () = exit.closed() => return,
        }
    }
}
