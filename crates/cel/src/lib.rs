//! Expressions: Kubernetes' CEL on object trees. They are checked against
//! declared types, run within a cost limit, and know Kubernetes' libraries;
//! what a user may do is asked of a callback.
//!
//! Pure: no I/O and no clock. It knows no kind.

mod authorizer;
mod check;
mod constants;
mod error;
mod estimate;
mod eval;
mod functions;
mod macros;
mod program;
mod schema;
mod sizes;
mod stack;
mod syntax;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use authorizer::{Answer, Asked, Authorizer, Question};
pub use error::{CompileError, Error};
pub use estimate::Estimate;
pub use eval::{Meter, Variables};
pub use program::{PER_CALL_LIMIT, Program};
pub use schema::{smallest, type_of};
pub use sizes::{Sizes, sizes_of};
pub use types::{Environment, FieldType, ListKind, ListType, MapType, ObjectType, Type, escape};
pub use value::{Fields, Key, Made, Val};
