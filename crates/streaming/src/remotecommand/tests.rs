//! Sessions over WebSocket and SPDY, with a process that the test plays.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::duplex;

use super::*;

/// A client that says what is queued, then waits for the end.
#[derive(Clone, Default)]
struct Client {
    says: Arc<Mutex<VecDeque<Message>>>,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Stream for Client {
    type Item = Result<Message, tungstenite::Error>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.says.lock().unwrap().pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None if matches!(self.heard.lock().unwrap().last(), Some(Message::Close(_))) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Sink<Message> for Client {
    type Error = tungstenite::Error;
    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        self.heard.lock().unwrap().push(message);
        Ok(())
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

const V5: Encoding = Encoding { base64: false, status: true };

/// A process that repeats its input until that is closed, then exits with 3.
fn echo() -> Process {
    let (stdin, mut inner_in) = duplex(1024);
    let (mut inner_out, stdout) = duplex(1024);
    let exit = async move {
        let _ = tokio::io::copy(&mut inner_in, &mut inner_out).await;
        drop(inner_out);
        Exit::Code(3)
    };
    // The copying must move before the outputs end: a shared future does both.
    let (done, finished) = tokio::sync::oneshot::channel();
    let worker = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let _ = done.send(exit.await);
        });
    });
    Process {
        stdin: Some(Box::new(stdin)),
        stdout: Some(Box::new(stdout)),
        stderr: None,
        resize: None,
        exit: Box::pin(async move {
            let exit = finished.await.unwrap();
            worker.join().unwrap();
            exit
        }),
    }
}

#[tokio::test]
async fn stdin_is_half_closed_by_v5_and_the_exit_code_comes_last() {
    for encoding in [V5, Encoding { base64: true, status: true }] {
        let client = Client::default();
        client.says.lock().unwrap().extend([
            frame(encoding, STDIN, b"one "),
            frame(encoding, STDIN, b"two"),
            frame(encoding, CLOSE, &[STDIN]),
        ]);
        if encoding.base64 {
            // base64 protocols have no close signal: nothing to test but the coding.
            assert_eq!(unframe(encoding, frame(encoding, STDOUT, b"x")).unwrap(), (STDOUT, Bytes::from("x")));
            continue;
        }
        let streams = Streams { stdin: true, stdout: true, ..Streams::default() };
        serve_websocket(client.clone(), encoding, streams, async || Ok(echo())).await.unwrap();
        let heard = client.heard.lock().unwrap().clone();
        let messages: Vec<_> = heard.into_iter().filter_map(|message| unframe(encoding, message)).collect();
        assert_eq!(messages.first(), Some(&(STDOUT, Bytes::new())), "the greeting");
        let output: Vec<u8> = messages
            .iter()
            .filter(|(channel, _)| *channel == STDOUT)
            .flat_map(|(_, bytes)| bytes.to_vec())
            .collect();
        assert_eq!(output, b"one two");
        let (channel, last) = messages.last().unwrap();
        assert_eq!(*channel, ERROR);
        assert!(std::str::from_utf8(last).unwrap().contains("NonZeroExitCode"));
    }
}

#[tokio::test]
async fn a_process_that_cannot_start_is_an_internal_error() {
    let client = Client::default();
    let failing = async || Err("no such container".to_owned());
    serve_websocket(client.clone(), V5, Streams::default(), failing).await.unwrap();
    let heard = client.heard.lock().unwrap().clone();
    let [.., last, close] = heard.as_slice() else { panic!("too little was said: {heard:?}") };
    let (channel, text) = unframe(V5, last.clone()).unwrap();
    assert_eq!(channel, ERROR);
    assert!(std::str::from_utf8(&text).unwrap().contains("no such container"));
    // Clients take any other end for a failure of theirs.
    assert!(matches!(close, Message::Close(Some(frame)) if u16::from(frame.code) == 1000), "{close:?}");
}

#[test]
fn the_best_common_protocol_is_chosen() {
    let request = |protocols: &str| {
        http::Request::builder()
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", protocols)
            .body(())
            .unwrap()
    };
    let (response, _) =
        accept(&mut request("v4.channel.k8s.io, v5.channel.k8s.io"), Streams::default()).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(matches!(accept(&mut request("chat"), Streams::default()), Err(Error::BadRequest(_))));
    let mut plain = http::Request::new(());
    assert!(matches!(accept(&mut plain, Streams::default()), Err(Error::BadRequest(_))));
}
