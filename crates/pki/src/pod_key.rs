//! Keys of pods, and the empty requests that prove them.

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};

use crate::Error;

/// A key that was just made.
pub struct PodKey {
    /// PKCS#8 as PEM.
    pub pem: String,
    /// A PKCS#10 request as DER that says nothing but whose key it is.
    pub request: Vec<u8>,
}

impl PodKey {
    /// Makes a key of one of the kinds of `podCertificate.keyType`. Takes
    /// seconds for the largest.
    ///
    /// # Errors
    /// Where there is no such kind.
    pub fn generate(kind: &str) -> Result<Self, Error> {
        let made = match kind {
            "RSA3072" => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            "RSA4096" => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
            "ECDSAP256" => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            "ECDSAP384" => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            "ECDSAP521" => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
            "ED25519" => KeyPair::generate_for(&PKCS_ED25519),
            other => return Err(Error::Request(format!("unknown key type {other:?}"))),
        };
        let wrong = |error: rcgen::Error| Error::Request(error.to_string());
        let key = made.map_err(wrong)?;
        let mut nothing = CertificateParams::default();
        nothing.distinguished_name = DistinguishedName::new();
        let request = nothing.serialize_request(&key).map_err(wrong)?;
        Ok(Self { pem: key.serialize_pem(), request: request.der().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_by_their_keys() {
        // RSA is left out: it takes seconds where nothing is optimised.
        for kind in ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"] {
            let key = PodKey::generate(kind).unwrap();
            assert!(key.pem.starts_with("-----BEGIN PRIVATE KEY-----"));
            assert!(crate::check_request_der(&key.request).is_ok(), "{kind}");
        }
        assert!(PodKey::generate("DSA").is_err());
    }
}
