//! Who asks and what they may do: the authenticators and authorizers of the
//! API server, and the reviews that ask them.
//!
//! Everything reads through `apiserver::View`. Nothing here watches, caches an
//! object for longer than its revision, or is skipped in one process.

mod masters;
pub mod node;
pub mod rbac;
pub mod tokens;
mod x509;

pub use masters::Masters;
pub use node::NodeAuthorizer;
pub use rbac::Rbac;
pub use tokens::ServiceAccountTokens;
pub use x509::X509;

/// The group whose members may do anything.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// The user name's prefix of service accounts; namespace and name follow.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// The key in a user's extra under which the proof is told.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
