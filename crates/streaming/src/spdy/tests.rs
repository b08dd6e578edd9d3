//! Frames and streams between two ends in memory.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::frame::{self, Frame};
use super::headers::Encoder;
use crate::portforward::{Dial, Duplex, forward};

#[test]
fn frames_are_taken_whole() {
    let bytes = [frame::data(5, true, b"abc"), frame::ping(7)].concat();
    for cut in 0..bytes.len() {
        let mut buffer = BytesMut::from(&bytes[..cut]);
        let mut frames = Vec::new();
        while let Some(one) = frame::take(&mut buffer).unwrap() {
            frames.push(one);
        }
        buffer.extend_from_slice(&bytes[cut..]);
        while let Some(one) = frame::take(&mut buffer).unwrap() {
            frames.push(one);
        }
        assert_eq!(
            frames,
            [Frame::Data { stream: 5, fin: true, bytes: "abc".into() }, Frame::Ping { id: 7 }]
        );
    }
    let mut wrong = BytesMut::from(&[0x80, 2, 0, 1, 0, 0, 0, 0][..]);
    assert!(frame::take(&mut wrong).is_err());
}

/// A pair of streams is copied to what the port gives, and a port that cannot
/// be reached is told on the error stream.
#[tokio::test]
async fn ports_are_forwarded() {
    let dial: Dial = Arc::new(|port| {
        Box::pin(async move {
            if port != 80 {
                return Err(format!("nobody listens on {port}"));
            }
            let (near, mut far) = duplex(64);
            let greeting = async move {
                far.write_all(b"hello").await.unwrap();
                drop(far);
            };
            greeting.await;
            Ok(Box::new(near) as Box<dyn Duplex>)
        })
    });
    let (mut client, server) = duplex(64 << 10);
    let (connection, driver) = super::over(server);
    let mut encoder = Encoder::new();
    let mut open = |id, kind, port, request| {
        frame::syn_stream(
            id,
            &encoder.encode(&[("streamtype", kind), ("port", port), ("requestid", request)]),
        )
    };
    let opening = [
        open(1, "error", "80", "0"),
        open(3, "data", "80", "0"),
        open(5, "error", "81", "1"),
        open(7, "data", "81", "1"),
        frame::data(3, true, b""),
        frame::data(7, true, b""),
    ]
    .concat();
    client.write_all(&opening).await.unwrap();
    let talk = async {
        let (mut data, mut error, mut fins) = (Vec::new(), Vec::new(), 0);
        let mut buffer = BytesMut::new();
        while fins < 4 {
            assert!(client.read_buf(&mut buffer).await.unwrap() > 0);
            while let Some(frame) = frame::take(&mut buffer).unwrap() {
                if let Frame::Data { stream, fin, bytes } = frame {
                    match stream {
                        3 => data.extend_from_slice(&bytes),
                        5 => error.extend_from_slice(&bytes),
                        _ => assert!(bytes.is_empty()),
                    }
                    fins += usize::from(fin);
                }
            }
        }
        (data, error)
    };
    let served = async {
        let _ = futures::join!(driver, forward(connection, dial));
    };
    tokio::select! {
        (data, error) = talk => {
            assert_eq!(data, b"hello");
            assert_eq!(error, b"nobody listens on 81");
        }
        () = served => panic!("the server ended first"),
    }
}
