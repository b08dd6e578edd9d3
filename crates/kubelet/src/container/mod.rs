//! A container of a pod as the runtime wants it: environment, user, rights,
//! mounts and limits, put together in [`config`]. Nothing here runs anything.

pub mod config;
pub mod env;
pub mod env_file;
mod expand;
pub mod fields;
pub mod mounts;
pub mod resources;
pub mod security;

pub use expand::expand;
