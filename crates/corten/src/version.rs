//! What the program calls itself.

/// Kubernetes' version that is spoken, and Corten's own.
pub const VERSION: &str = concat!("v1.37.2+corten.", env!("CARGO_PKG_VERSION"));
