//! The cluster's own certificate authority, the certificates it issues and
//! renews, and the keys of service account tokens. ECDSA P-256 throughout.
//!
//! Everything lies as PEM files in one directory that only root can read. The
//! crate knows names, keys and time; it never knows the API or a connection.

mod authority;
mod blocks;
mod cluster;
mod error;
mod files;
mod peer;
mod pod_key;
mod request;
mod service_account;

pub use authority::{Authority, Credentials, Profile, Subject, Unsigned};
pub use blocks::{
    Leaf, PublicKey, check_certificates, check_chain, check_request, check_request_der, wrong_anchors,
};
pub use cluster::{ClusterPki, ServerNames, renew_at};
pub use error::Error;
pub use peer::{Peer, read_peer};
pub use pod_key::PodKey;
pub use request::{SigningRequest, Usages};
pub use service_account::{
    BoundObject, Claims, KubernetesClaims, LegacyClaims, ServiceAccountKeys, TokenError, Verified,
};

/// How long the authorities live.
pub const AUTHORITY_YEARS: i64 = 10;
/// How long issued certificates live; they are renewed when a third is left.
pub const CERTIFICATE_DAYS: i64 = 365;
