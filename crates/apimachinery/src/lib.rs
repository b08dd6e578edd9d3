//! The machinery of Kubernetes' API, for any kind: object trees, the schema
//! engine, selectors, quantities, patches, ownership, Status, tables and codecs.
//!
//! It does no I/O and knows no kind: what it knows of types comes in as data.

pub mod field;
pub mod fields;
pub mod go;
pub mod int_or_string;
pub mod json;
pub mod jsonpath;
pub mod labels;
pub mod managed_fields;
pub mod meta;
pub mod name;
pub mod netip;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod regexp;
pub mod schema;
pub mod status;
pub mod structural;
pub mod table;
pub mod time;
pub mod url;
pub mod validation;
pub mod value;
pub mod yaml;

pub use status::Status;
pub use value::{Key, Object, Value};
