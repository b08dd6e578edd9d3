//! JSON text: reading (untyped, by the rules for unstructured objects),
//! writing as Go writes it.
//!
//! Reading by a type is the schema engine's matter (`crate::schema`).

mod lexer;
mod parse;
mod write;

pub(crate) use lexer::Lexer;
pub(crate) use parse::{Members, check_depth, kind_of, raw_value, scalar};
pub use parse::{Parsed, TypeMeta, parse, parse_ordered, parse_reporting, sort_deep, type_meta};
pub use write::{Order, Splice, encode, encode_object, to_string, write_string};

/// How deep trees may nest. Go's limit is 10,000 for a body; a tree of ours is
/// walked by recursion on small stacks, and no real object comes near this.
pub const MAX_DEPTH: usize = 512;

/// The largest body that is read, in bytes (upstream's limit for writes).
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// Why bytes are no object of a type. Each displays as upstream's text alone,
/// without what the API server puts before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no JSON: Go's scanner's words, such as
    /// `unexpected end of JSON input`.
    #[error("{0}")]
    Syntax(String),
    /// A value of another type:
    /// `json: cannot unmarshal number into Go struct field ConfigMap.data of type string`.
    #[error("{0}")]
    Type(String),
    /// A text that its type refuses: a quantity, a time, base64.
    #[error("{0}")]
    Scalar(String),
}
