//! PKCS#10 certificate signing requests: reading what was asked for.
//!
//! Whether a request is granted is decided by admission and controllers.

use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::Error;

/// A request as PEM, with the parts that policy looks at.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    pem: String,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<std::net::IpAddr>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
}

/// What a certificate may be used for, in rcgen's words.
#[derive(Clone, Debug, Default)]
pub struct Usages {
    pub key: Vec<KeyUsagePurpose>,
    pub extended: Vec<ExtendedKeyUsagePurpose>,
}

impl Usages {
    /// From the names of certificates.k8s.io (`digital signature`, `client auth`, …).
    /// Names that X.509 has no usage for here are left out.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut usages = Usages::default();
        for name in names {
            match name {
                "signing" | "digital signature" => usages.key.push(KeyUsagePurpose::DigitalSignature),
                "content commitment" => usages.key.push(KeyUsagePurpose::ContentCommitment),
                "key encipherment" => usages.key.push(KeyUsagePurpose::KeyEncipherment),
                "key agreement" => usages.key.push(KeyUsagePurpose::KeyAgreement),
                "data encipherment" => usages.key.push(KeyUsagePurpose::DataEncipherment),
                "cert sign" => usages.key.push(KeyUsagePurpose::KeyCertSign),
                "crl sign" => usages.key.push(KeyUsagePurpose::CrlSign),
                "encipher only" => usages.key.push(KeyUsagePurpose::EncipherOnly),
                "decipher only" => usages.key.push(KeyUsagePurpose::DecipherOnly),
                "any" => usages.extended.push(ExtendedKeyUsagePurpose::Any),
                "server auth" => usages.extended.push(ExtendedKeyUsagePurpose::ServerAuth),
                "client auth" => usages.extended.push(ExtendedKeyUsagePurpose::ClientAuth),
                "code signing" => usages.extended.push(ExtendedKeyUsagePurpose::CodeSigning),
                "email protection" | "s/mime" => {
                    usages.extended.push(ExtendedKeyUsagePurpose::EmailProtection)
                }
                "timestamping" => usages.extended.push(ExtendedKeyUsagePurpose::TimeStamping),
                "ocsp signing" => usages.extended.push(ExtendedKeyUsagePurpose::OcspSigning),
                _ => {}
            }
        }
        usages.key.dedup();
        usages
    }
}

impl SigningRequest {
    /// Reads the first PEM block, which must be a `CERTIFICATE REQUEST`.
    pub fn read(pem: &[u8]) -> Result<Self, Error> {
        let wrong = |why: String| Error::Request(why);
        let text = std::str::from_utf8(pem).map_err(|_| wrong("it is no PEM text".into()))?;
        let (_, block) =
            x509_parser::pem::parse_x509_pem(pem).map_err(|_| wrong("it holds no PEM block".into()))?;
        if block.label != "CERTIFICATE REQUEST" {
            return Err(wrong("PEM block type must be CERTIFICATE REQUEST".into()));
        }
        let (_, request) =
            X509CertificationRequest::from_der(&block.contents).map_err(|why| wrong(why.to_string()))?;
        let name = &request.certification_request_info.subject;
        let strings = |attributes: Vec<&str>| attributes.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut read = Self {
            pem: text.to_owned(),
            common_name: name
                .iter_common_name()
                .filter_map(|part| part.as_str().ok())
                .next()
                .unwrap_or("")
                .to_owned(),
            organizations: strings(name.iter_organization().filter_map(|part| part.as_str().ok()).collect()),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| read.add_name(name));
            }
        }
        Ok(read)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                if let Ok(four) = <[u8; 4]>::try_from(*bytes) {
                    self.addresses.push(four.into());
                } else if let Ok(sixteen) = <[u8; 16]>::try_from(*bytes) {
                    self.addresses.push(sixteen.into());
                }
            }
            _ => {}
        }
    }

    pub(crate) fn parse(&self) -> Result<CertificateSigningRequestParams, Error> {
        CertificateSigningRequestParams::from_pem(&self.pem).map_err(|why| Error::Request(why.to_string()))
    }
}
