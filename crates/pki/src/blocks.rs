//! PEM blocks as Go's encoding/pem reads them, and what the API asks of the
//! certificates in them.
//!
//! Reads texts only; issues and trusts nothing.

use aws_lc_rs::signature;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// One block between `-----BEGIN LABEL-----` and `-----END LABEL-----`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub label: String,
    pub has_headers: bool,
    pub der: Vec<u8>,
}

/// The blocks of a text in order; what is no block is skipped.
pub fn blocks(pem: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(pem);
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        let Some(label) = label else { continue };
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        let mut has_headers = false;
        let mut ended = false;
        for line in lines.by_ref() {
            if line == end {
                ended = true;
                break;
            }
            if body.is_empty() && line.contains(':') {
                has_headers = true;
            } else {
                body.push_str(line.trim());
            }
        }
        if let (true, Ok(der)) = (ended, STANDARD.decode(&body)) {
            found.push(Block { label: label.to_owned(), has_headers, der });
        }
    }
    found
}

/// A PKCS#10 request in PEM (`spec.request` of a CertificateSigningRequest)
/// that can be read and is signed by its own key; the error says what is wrong
/// in upstream's words.
///
/// # Errors
/// As above.
pub fn check_request(pem: &[u8]) -> Result<(), String> {
    match blocks(pem).first() {
        Some(block) if block.label == "CERTIFICATE REQUEST" => check_request_der(&block.der),
        _ => Err("PEM block type must be CERTIFICATE REQUEST".into()),
    }
}

/// As [`check_request`], for DER.
///
/// # Errors
/// What is wrong.
pub fn check_request_der(der: &[u8]) -> Result<(), String> {
    if der.is_empty() {
        return Err("asn1: syntax error: sequence truncated".into());
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|why| format!("asn1: {why}"))?;
    if !rest.is_empty() {
        return Err("asn1: syntax error: trailing data".into());
    }
    if is_signed_on_p521(&request) {
        return Ok(());
    }
    request.verify_signature().map_err(|_| {
        match request.signature_algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "x509: Ed25519 verification failure",
            oid if oid.starts_with("1.2.840.10045.") => "x509: ECDSA verification failure",
            _ => "crypto/rsa: verification error",
        }
        .to_owned()
    })
}

/// Whether a key on the curve P-521, which x509-parser does not know, signed the request.
fn is_signed_on_p521(request: &X509CertificationRequest<'_>) -> bool {
    let algorithm = match request.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.3.2" => &signature::ECDSA_P521_SHA256_ASN1,
        "1.2.840.10045.4.3.3" => &signature::ECDSA_P521_SHA384_ASN1,
        "1.2.840.10045.4.3.4" => &signature::ECDSA_P521_SHA512_ASN1,
        _ => return false,
    };
    let asked = &request.certification_request_info;
    let key = signature::UnparsedPublicKey::new(algorithm, &asked.subject_pki.subject_public_key.data);
    key.verify(asked.raw, &request.signature_value.data).is_ok()
}

/// Certificates in PEM, as `status.certificate` of a CertificateSigningRequest
/// holds them; the error is upstream's.
///
/// # Errors
/// As above.
pub fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let blocks = blocks(pem);
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".into());
        }
        if X509Certificate::from_der(&block.der).is_err() {
            return Err("x509: malformed certificate".into());
        }
    }
    if blocks.is_empty() { Err("must contain at least one CERTIFICATE PEM block".into()) } else { Ok(()) }
}

/// What is wrong with the trust anchors of a ClusterTrustBundle, in upstream's
/// words; nothing wrong is an empty list.
pub fn wrong_anchors(pem: &[u8]) -> Vec<String> {
    let blocks = blocks(pem);
    let mut wrong: Vec<String> =
        blocks.iter().enumerate().filter_map(|(at, block)| wrong_anchor(at, block)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    if blocks.is_empty() {
        wrong.push("at least one trust anchor must be provided".into());
    }
    for (at, block) in blocks.iter().enumerate() {
        let same: Vec<String> = blocks
            .iter()
            .enumerate()
            .filter(|(_, other)| other.der == block.der)
            .map(|(at, _)| at.to_string())
            .collect();
        if same.len() > 1 && same[0] == at.to_string() {
            wrong.push(format!("duplicate trust anchor (indices [{}])", same.join(" ")));
        }
    }
    wrong
}

/// A chain of certificates, the leaf first; the error is upstream's.
///
/// # Errors
/// As above.
pub fn check_chain(pem: &[u8]) -> Result<(), &'static str> {
    let blocks = blocks(pem);
    if blocks.is_empty() {
        return Err("issued certificate chain must contain at least one certificate");
    }
    for (at, block) in blocks.iter().enumerate() {
        if block.label != "CERTIFICATE" {
            return Err("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
        }
        if X509Certificate::from_der(&block.der).is_err() {
            let leaf = "leaf certificate does not parse as valid X.509";
            return Err(if at == 0 {
                leaf
            } else {
                "intermediate certificate does not parse as valid X.509"
            });
        }
    }
    Ok(())
}

/// The first certificate of a PEM text: what it is for, and from when to when it holds.
#[derive(Debug)]
pub struct Leaf {
    pub starts: Timestamp,
    pub ends: Timestamp,
    /// The DNS names and the e-mail addresses among its alternative names.
    pub hosts: Vec<String>,
    pub mails: Vec<String>,
    pub key: PublicKey,
}

impl Leaf {
    /// None where the text does not begin with a certificate.
    pub fn of(pem: &[u8]) -> Option<Self> {
        let blocks = blocks(pem);
        let (_, certificate) = X509Certificate::from_der(&blocks.first()?.der).ok()?;
        let (mut hosts, mut mails) = (Vec::new(), Vec::new());
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.map_or(&[][..], |names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
                GeneralName::RFC822Name(mail) => mails.push((*mail).to_owned()),
                _ => {}
            }
        }
        let validity = certificate.validity();
        let at = |moment: x509_parser::time::ASN1Time| Timestamp::from_second(moment.timestamp()).ok();
        let (starts, ends) = (at(validity.not_before)?, at(validity.not_after)?);
        Some(Self { starts, ends, hosts, mails, key: PublicKey::of(certificate.public_key()) })
    }
}

/// A public key: its algorithm's OID and its bits.
#[derive(Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: String,
    bits: Vec<u8>,
}

impl PublicKey {
    fn of(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let algorithm = info.algorithm.algorithm.to_id_string();
        Self { algorithm, bits: info.subject_public_key.data.to_vec() }
    }

    /// The key of a DER PKCS#10 request.
    pub fn of_request(der: &[u8]) -> Option<Self> {
        let (_, request) = X509CertificationRequest::from_der(der).ok()?;
        Some(Self::of(&request.certification_request_info.subject_pki))
    }

    /// A DER SubjectPublicKeyInfo.
    pub fn of_pkix(der: &[u8]) -> Option<Self> {
        SubjectPublicKeyInfo::from_der(der).ok().map(|(_, info)| Self::of(&info))
    }
}

fn wrong_anchor(at: usize, block: &Block) -> Option<String> {
    if block.label != "CERTIFICATE" {
        return Some(format!("entry {at} has bad block type: {}", block.label));
    }
    if block.has_headers {
        return Some(format!("entry {at} has PEM block headers"));
    }
    let Ok((_, certificate)) = X509Certificate::from_der(&block.der) else {
        return Some(format!("entry {at} does not parse as X.509"));
    };
    let constraints = certificate.basic_constraints().ok().flatten();
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Some(format!("entry {at} does not have the CA bit set"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Profile, Subject};

    #[test]
    fn blocks_are_found_between_other_text() {
        let pem = b"words\n-----BEGIN A-----\nKey: value\n\nYQ==\n-----END A-----\n-----BEGIN B-----\nYg==\n-----END B-----\n";
        let found = blocks(pem);
        assert_eq!(found.iter().map(|block| block.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((found[0].has_headers, found[0].der.as_slice()), (true, b"a".as_slice()));
        assert_eq!((found[1].has_headers, found[1].der.as_slice()), (false, b"b".as_slice()));
    }

    #[test]
    fn certificates_and_anchors_are_told_apart() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let authority = Authority::create("ca", now).unwrap();
        let leaf = authority.issue(&Subject::new("a", None), &Profile::Client, now).unwrap();
        assert_eq!(check_certificates(leaf.certificate.as_bytes()), Ok(()));
        assert_eq!(
            check_certificates(b"YQ=="),
            Err("must contain at least one CERTIFICATE PEM block".to_owned())
        );
        assert_eq!(
            check_certificates(leaf.key.as_bytes()),
            Err("only CERTIFICATE PEM blocks are allowed, found \"PRIVATE KEY\"".to_owned())
        );
        assert!(wrong_anchors(authority.certificate().as_bytes()).is_empty());
        assert_eq!(wrong_anchors(leaf.certificate.as_bytes()), ["entry 0 does not have the CA bit set"]);
        let twice = format!("{0}{0}", authority.certificate());
        assert_eq!(wrong_anchors(twice.as_bytes()), ["duplicate trust anchor (indices [0 1])"]);
        assert_eq!(wrong_anchors(b""), ["at least one trust anchor must be provided"]);
    }

    #[test]
    fn requests_are_signed_by_their_own_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        assert_eq!(check_request(request.pem().unwrap().as_bytes()), Ok(()));
        let issued = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let asked = PublicKey::of_request(request.der());
        assert!(asked.is_some());
        assert_eq!(Leaf::of(issued.pem().as_bytes()).map(|leaf| leaf.key), asked);
        assert_eq!(PublicKey::of_pkix(&rcgen::PublicKeyData::subject_public_key_info(&key)), asked);
        let other = rcgen::KeyPair::generate().unwrap();
        assert_ne!(PublicKey::of_pkix(&rcgen::PublicKeyData::subject_public_key_info(&other)), asked);
        assert_eq!(PublicKey::of_pkix(b"no key"), None);
        let mut der = request.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(check_request_der(&der).is_err());
        assert_eq!(check_request(b"not pem"), Err("PEM block type must be CERTIFICATE REQUEST".to_owned()));
    }
}
