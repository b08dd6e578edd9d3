//! Kubernetes' protobuf: the `k8s\0` envelope, objects by the field numbers of
//! the facts, and the frames of a watch.
//!
//! Messages follow gogo's generated code: what is no pointer is always
//! written, zero or not; maps are sorted; nothing is packed.

mod decode;
mod encode;
mod wire;

pub use decode::{Envelope, decode, decode_object, open};
pub use encode::{encode, encode_object, wrap, write_watch_event};
pub use wire::{write_bytes, write_double, write_message, write_number};

/// The first bytes of an enveloped object.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// Why bytes are no protobuf object; displays as upstream's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("empty data")]
    Empty,
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    #[error("unexpected EOF")]
    UnexpectedEnd,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType { wire: u8, field: String },
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    #[error("proto: illegal tag 0 (wire type {0})")]
    IllegalTag(u8),
    /// Not upstream's: messages nest deeper than a tree may.
    #[error("proto: message nested too deep")]
    Depth,
    /// A quantity or another text that its type refuses.
    #[error("{0}")]
    Scalar(String),
    /// The envelope names a kind that is not known.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
}
