//! The machinery of Kubernetes' API, for any kind: object trees, the schema
//! engine, selectors, quantities, patches, ownership, Status, tables and codecs.
//!
//! It does no I/O and knows no kind: what it knows of types comes in as data.

pub mod field;
pub mod meta;
pub mod status;
pub mod value;

pub use status::Status;
pub use value::{Key, Object, Value};
