//! A certificate authority: its key pair, and certificates issued by it.
//!
//! Pure but for the randomness of keys: files are `cluster`'s matter.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use crate::request::{SigningRequest, Usages};
use crate::{CERTIFICATE_DAYS, Error};

/// Clocks of other machines may be behind ours by this much.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A certificate and its private key, both as PEM.
#[derive(Clone)]
pub struct Credentials {
    pub certificate: String,
    pub key: String,
}

/// Who a certificate is for: `CN` is the user's name, `O` its group.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    pub common_name: String,
    pub organization: Option<String>,
}

impl Subject {
    pub fn new(common_name: impl Into<String>, organization: Option<&str>) -> Self {
        Self { common_name: common_name.into(), organization: organization.map(str::to_owned) }
    }
}

/// What a certificate may be used for.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// Authenticates to the API server.
    Client,
    /// Serves under these names and addresses.
    Server { dns: Vec<String>, addresses: Vec<IpAddr> },
}

/// An authority that can issue certificates.
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed authority, valid for [`crate::AUTHORITY_YEARS`].
    pub fn create(common_name: &str, now: Timestamp) -> Result<Self, Error> {
        let failed = |why: rcgen::Error| Error::Issue { subject: common_name.into(), why: why.to_string() };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let life = SignedDuration::from_hours(24 * 365 * crate::AUTHORITY_YEARS);
        set_validity(&mut params, now, life);
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let text = key.serialize_pem();
        Ok(Self { certificate, key: text, issuer: Issuer::new(params, key) })
    }

    /// The authority of these PEM texts; the error says what is wrong with them.
    pub fn load(certificate: &str, key: &str) -> Result<Self, String> {
        let pair = KeyPair::from_pem(key).map_err(|why| format!("the private key: {why}"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).map_err(|why| why.to_string())?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), issuer })
    }

    /// The authority's certificate as PEM: what clients trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The authority's private key as PEM.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A new key with a certificate for `subject`, valid for [`CERTIFICATE_DAYS`].
    pub fn issue(&self, subject: &Subject, profile: &Profile, now: Timestamp) -> Result<Credentials, Error> {
        let failed =
            |why: rcgen::Error| Error::Issue { subject: subject.common_name.clone(), why: why.to_string() };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(subject);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = match profile {
            Profile::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Profile::Server { dns, addresses } => {
                params.subject_alt_names = alternative_names(dns, addresses).map_err(failed)?;
                vec![ExtendedKeyUsagePurpose::ServerAuth]
            }
        };
        set_validity(&mut params, now, SignedDuration::from_hours(24 * CERTIFICATE_DAYS));
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Credentials { certificate, key: key.serialize_pem() })
    }

    /// Signs a request (`spec.request` of a CertificateSigningRequest) with
    /// the `usages` that were granted, for `life`; gives the certificate's PEM.
    pub fn sign(
        &self,
        request: &SigningRequest,
        usages: &Usages,
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<String, Error> {
        let failed = |why: rcgen::Error| Error::Request(why.to_string());
        let mut parsed = request.parse()?;
        parsed.params.is_ca = IsCa::NoCa;
        parsed.params.key_usages = usages.key.clone();
        parsed.params.extended_key_usages = usages.extended.clone();
        parsed.params.use_authority_key_identifier_extension = true;
        set_validity(&mut parsed.params, now, life);
        Ok(parsed.signed_by(&self.issuer).map_err(failed)?.pem())
    }
}

/// A new key that waits for its certificate.
pub struct Unsigned {
    /// The private key as PEM.
    pub key: String,
    /// A PKCS#10 request as PEM, for `spec.request` of a CertificateSigningRequest.
    pub request: String,
}

impl Unsigned {
    /// A key for `subject`, and the request that names what `profile` does.
    pub fn generate(subject: &Subject, profile: &Profile) -> Result<Self, Error> {
        let failed = |why: rcgen::Error| Error::Request(why.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(subject);
        if let Profile::Server { dns, addresses } = profile {
            params.subject_alt_names = alternative_names(dns, addresses).map_err(failed)?;
        }
        let request = params.serialize_request(&key).map_err(failed)?.pem().map_err(failed)?;
        Ok(Self { key: key.serialize_pem(), request })
    }

    pub fn with_certificate(self, certificate: String) -> Credentials {
        Credentials { certificate, key: self.key }
    }
}

fn distinguished_name(subject: &Subject) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = &subject.organization {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, subject.common_name.as_str());
    name
}

fn alternative_names(dns: &[String], addresses: &[IpAddr]) -> Result<Vec<SanType>, rcgen::Error> {
    let mut names = Vec::with_capacity(dns.len() + addresses.len());
    for name in dns {
        names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    names.extend(addresses.iter().map(|&address| SanType::IpAddress(address)));
    Ok(names)
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |moment: Timestamp| epoch + Duration::from_secs(moment.as_second().max(0) as u64);
    params.not_before = at(now.saturating_add(-BACKDATE).unwrap_or(now));
    params.not_after = at(now.saturating_add(life).unwrap_or(Timestamp::MAX));
}
