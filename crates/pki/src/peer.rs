//! Reading the certificate that a client showed: name, groups, validity.
//!
//! That it was signed by the right authority was checked by the TLS layer.

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The parts of a client certificate that say who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// `CN`: the user's name.
    pub common_name: String,
    /// Every `O`: the user's groups.
    pub organizations: Vec<String>,
    /// The `uid` attribute (1.3.6.1.4.1.57683.2, KEP-4193), or "".
    pub uid: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Lower case hexadecimal SHA-256 of the certificate, as `credential-id` writes it.
    pub fingerprint: String,
    /// Whether the certificate may be used by clients (no extended key usage, `any` or `client auth`).
    pub client: bool,
}

/// Reads a certificate from DER; nothing where it is none.
pub fn read_peer(der: &[u8]) -> Option<Peer> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let client = match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.any || usage.value.client_auth,
        Ok(None) => true,
        Err(_) => false,
    };
    let time = |seconds| Timestamp::from_second(seconds).ok();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let uid = subject
        .iter_attributes()
        .find(|attribute| attribute.attr_type().to_id_string() == "1.3.6.1.4.1.57683.2")
        .and_then(|attribute| attribute.as_str().ok())
        .unwrap_or("");
    Some(Peer {
        common_name: subject
            .iter_common_name()
            .filter_map(|part| part.as_str().ok())
            .next()
            .unwrap_or("")
            .to_owned(),
        organizations: subject
            .iter_organization()
            .filter_map(|part| part.as_str().ok())
            .map(str::to_owned)
            .collect(),
        uid: uid.to_owned(),
        not_before: time(certificate.validity().not_before.timestamp())?,
        not_after: time(certificate.validity().not_after.timestamp())?,
        fingerprint: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        client,
    })
}
