//! Messages as bytes, and bytes as messages, within the sizes that the asker
//! can take (RFC 1035, RFC 6891). Pure.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable, BinEncoder};

/// What fits into UDP without EDNS.
const PLAIN_UDP: u16 = 512;
/// What we put into UDP at most: no fragments on any link.
const LARGEST_UDP: u16 = 1232;

/// How the question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Udp,
    Tcp,
}

/// A question that we can answer, or the bytes of the refusal (None: silence).
pub(crate) fn read(bytes: &[u8]) -> Result<(Message, Query), Option<Vec<u8>>> {
    let Ok(message) = Message::from_bytes(bytes) else {
        // With an id the asker can be told; never answer an answer.
        return Err(match bytes {
            [high, low, flags, ..] if bytes.len() >= 12 && flags & 0x80 == 0 => {
                let id = u16::from_be_bytes([*high, *low]);
                Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
            }
            _ => None,
        });
    };
    if message.metadata.message_type != MessageType::Query {
        return Err(None);
    }
    let refuse = |code| Err(write(&response(&message, code), &message, Carrier::Tcp));
    if message.metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    if message.version() > 0 {
        return refuse(ResponseCode::BADVERS);
    }
    match message.queries.as_slice() {
        [query] if query.query_class == DNSClass::IN => {
            let query = query.clone();
            Ok((message, query))
        }
        [_] => refuse(ResponseCode::Refused),
        _ => refuse(ResponseCode::FormErr),
    }
}

/// An empty response to `request`.
pub(crate) fn response(request: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_UDP).set_version(0).set_rcode_high(code.high());
        message.set_edns(edns);
    }
    message
}

/// As bytes: whole over TCP, cut with the truncation bit over UDP.
pub(crate) fn write(response: &Message, request: &Message, carrier: Carrier) -> Option<Vec<u8>> {
    let limit = match carrier {
        Carrier::Tcp => u16::MAX,
        Carrier::Udp => match &request.edns {
            Some(edns) => edns.max_payload().clamp(PLAIN_UDP, LARGEST_UDP),
            None => PLAIN_UDP,
        },
    };
    let whole = encode(response)?;
    if whole.len() <= usize::from(limit) {
        return Some(whole);
    }
    // Additional records are a courtesy; answers cut short are told as such.
    let mut cut = response.clone();
    cut.additionals.clear();
    let shorter = encode(&cut)?;
    if shorter.len() <= usize::from(limit) {
        return Some(shorter);
    }
    cut.metadata.truncation = true;
    while encode(&cut)?.len() > usize::from(limit) {
        let keep: Vec<Record> = cut.answers.iter().take(cut.answers.len() / 2).cloned().collect();
        if cut.answers.is_empty() {
            cut.authorities.clear();
            return encode(&cut);
        }
        cut.answers = keep;
    }
    encode(&cut)
}

fn encode(message: &Message) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    message
        .emit(&mut encoder)
        .inspect_err(|error| tracing::warn!(%error, "an answer could not be written"))
        .ok()?;
    Some(bytes)
}
