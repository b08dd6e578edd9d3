//! Frames of SPDY/3.1 on the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Error;

pub const FIN: u8 = 0x01;

/// A frame from the client; header blocks are still packed.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Data {
        stream: u32,
        fin: bool,
        bytes: Bytes,
    },
    SynStream {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    Headers {
        block: Bytes,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// SETTINGS, WINDOW_UPDATE, SYN_REPLY and what a later draft may add.
    Ignored,
}

/// Takes one whole frame from the front of `buffer`, if it is there.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, Error> {
    let Some(head) = buffer.first_chunk::<8>().copied() else { return Ok(None) };
    let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let flags = head[4];
    let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
    if buffer.len() < 8 + length {
        buffer.reserve(8 + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(8);
    let mut body = buffer.split_to(length).freeze();
    let fin = flags & FIN != 0;
    if word >> 31 == 0 {
        return Ok(Some(Frame::Data { stream: word, fin, bytes: body }));
    }
    let version = (word >> 16) & 0x7fff;
    if version != 3 {
        return Err(Error::Protocol(format!("a frame of SPDY version {version}")));
    }
    let mut id = || (body.len() >= 4).then(|| body.get_u32() & 0x7fff_ffff).ok_or_else(short);
    Ok(Some(match word & 0xffff {
        1 => {
            let stream = id()?;
            if body.len() < 6 {
                return Err(short());
            }
            body.advance(6);
            Frame::SynStream { stream, fin, block: body }
        }
        3 => Frame::Reset { stream: id()? },
        6 => Frame::Ping { id: id()? },
        7 => Frame::GoAway,
        8 => {
            id()?;
            Frame::Headers { block: body }
        }
        _ => Frame::Ignored,
    }))
}

fn short() -> Error {
    Error::Protocol("a frame is too short".into())
}

pub fn data(stream: u32, fin: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u32(stream);
    frame.put_u32(u32::from(if fin { FIN } else { 0 }) << 24 | bytes.len() as u32);
    frame.put_slice(bytes);
    frame.freeze()
}

fn control(kind: u16, flags: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + body.len());
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    frame.put_u32(u32::from(flags) << 24 | body.len() as u32);
    frame.put_slice(body);
    frame.freeze()
}

pub fn syn_reply(stream: u32, block: &[u8]) -> Bytes {
    control(2, 0, &[&stream.to_be_bytes()[..], block].concat())
}

pub fn ping(id: u32) -> Bytes {
    control(6, 0, &id.to_be_bytes())
}

/// `status` as in draft 3, section 2.6.3.
pub fn reset(stream: u32, status: u32) -> Bytes {
    control(3, 0, &[stream.to_be_bytes(), status.to_be_bytes()].concat())
}

#[cfg(test)]
pub fn syn_stream(stream: u32, block: &[u8]) -> Bytes {
    control(1, 0, &[&stream.to_be_bytes()[..], &[0; 6], block].concat())
}
