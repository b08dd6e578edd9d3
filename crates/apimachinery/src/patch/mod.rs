//! The patches of the API: JSON patch (RFC 6902), merge patch (RFC 7386) and
//! strategic merge patch, on trees.
//!
//! They change trees and nothing else: what comes out is not yet normalized,
//! defaulted or validated.

pub mod json;
mod lazy;
pub mod merge;
pub mod strategic;

use crate::json::Parsed;
use crate::{Status, Value};

/// Operations that one JSON patch may hold (apiserver's maxJSONPatchOperations).
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Why a patch was refused; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The body is no JSON.
    #[error("invalid JSON patch")]
    Syntax,
    /// The body is JSON of another shape, or a malformed directive.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch with too many operations.
    #[error("The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// A `test` of a JSON patch that failed.
    #[error("{0}")]
    TestFailed(String),
    /// A JSON patch that does not fit the object: a path that is not there. The text is for logs; the answer is generic.
    #[error("{0}")]
    DoesNotApply(String),
    /// A strategic patch that does not fit the object or its type.
    #[error("{0}")]
    Unmergeable(String),
}

impl Error {
    /// The answer to the client.
    pub fn status(&self) -> Status {
        match self {
            Error::Syntax | Error::Malformed(_) => Status::bad_request(self.to_string()),
            Error::TooManyOperations(_) => Status::request_entity_too_large(self),
            Error::TestFailed(_) | Error::DoesNotApply(_) => Status::unprocessable_request(),
            Error::Unmergeable(_) => Status::unknown(self.to_string()),
        }
    }
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        error.status()
    }
}

/// Reads a patch's body as JSON, duplicate members told.
fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    crate::json::parse_reporting(bytes).map_err(|_| Error::Syntax)
}

/// What Go's decoder calls a JSON value of the wrong shape.
fn go_shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
