//! Certificates and requests for them, in PEM and DER: read or refused.

use std::sync::LazyLock;

use crate::Target;

pub const TARGET: Target = Target { name: "certificates", seeds, check };

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(vec!["a.ex.com".to_owned(), "10.0.0.1".to_owned()])
        .expect("parameters");
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "system:node:a");
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    let request = parameters.serialize_request(&key).expect("a request");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    vec![
        request.pem().expect("PEM").into_bytes(),
        request.der().to_vec(),
        certificate.pem().into_bytes(),
        certificate.der().to_vec(),
    ]
});

fn seeds() -> Vec<Vec<u8>> {
    SEEDS.clone()
}

fn check(input: &[u8]) -> String {
    let told = |result: Result<(), String>| result.err().unwrap_or_else(|| "fine".into());
    let read = pki::SigningRequest::read(input).map(drop).map_err(|error| error.to_string());
    [
        told(read),
        told(pki::check_request(input)),
        told(pki::check_request_der(input)),
        told(pki::check_certificates(input)),
        if pki::read_peer(input).is_some() { "a peer".to_owned() } else { "no peer".to_owned() },
    ]
    .join("; ")
}
