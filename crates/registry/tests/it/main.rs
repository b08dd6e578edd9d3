//! The kinds in a whole API server on a store in memory, with all authorizers
//! and plugins, reached in process.

mod cluster;
mod definitions;
mod hooks;
mod pods;
mod policies;
mod rights;
mod services;
