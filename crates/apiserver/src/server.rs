//! The server: what it is made of.

/// The API server.
pub struct ApiServer {}
