//! What the crates above implement: the traits by which kinds, identities,
//! rights, admission and nodes come into the engine. No logic of requests.

pub mod admission;
pub mod authorization;
pub mod companion;
pub mod conversion;
pub mod definition;
pub mod handler;
pub mod identity;
pub mod node;
pub mod strategy;
