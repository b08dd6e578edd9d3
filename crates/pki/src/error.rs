//! What can go wrong with keys and certificates, as sentences for an administrator.

use std::path::PathBuf;

/// An error of this crate; its text says which file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {why}; check that the disk works and that you are root")]
    Read { path: PathBuf, why: std::io::Error },

    #[error("cannot write {path}: {why}; check free space and that you are root")]
    Write { path: PathBuf, why: std::io::Error },

    #[error(
        "{path} holds no usable {what} ({why}); restore the file from a backup, or move it away together \
         with its .crt or .key so that Corten makes a new pair at the next start{consequence}"
    )]
    Broken { path: PathBuf, what: &'static str, why: String, consequence: &'static str },

    #[error(
        "{certificate} and {key} do not belong together; restore the pair from a backup, or move both away \
         so that Corten makes a new pair at the next start"
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },

    #[error(
        "{present} is there but {missing} is missing; restore it from a backup, or move {present} away so \
         that Corten makes a new pair at the next start"
    )]
    HalfPair { present: PathBuf, missing: PathBuf },

    #[error("{path} is missing: the copy must be of the whole directory")]
    Missing { path: PathBuf },

    #[error("{path} expired at {at}; move it and its key away so that Corten makes a new pair")]
    Expired { path: PathBuf, at: jiff::Timestamp },

    #[error("cannot make a certificate for {subject:?}: {why}")]
    Issue { subject: String, why: String },

    #[error("the certificate signing request cannot be used: {0}")]
    Request(String),
}
