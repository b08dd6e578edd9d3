//! The engine on types of its own, table by table; the built-in types are
//! tried in the crate `api`.
use super::*;
