//! Which approved requests a signer signs, and for how long. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Asked;

/// How long a certificate lasts that asks for nothing, and at most.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// Upstream's names of the signers that the cluster's authority stands for.
const SIGNERS: [&str; 4] = [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/legacy-unknown",
];

/// Whether the request waits for a signature of this cluster's.
pub fn is_due(request: &CertificateSigningRequest) -> bool {
    let status = request.status.as_ref();
    let holds = |kind: &str| {
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let is_signed = status
        .and_then(|status| status.certificate.as_ref())
        .is_some_and(|certificate| !certificate.0.is_empty());
    SIGNERS.contains(&&*request.spec.signer_name)
        && holds("Approved")
        && !holds("Denied")
        && !holds("Failed")
        && !is_signed
}

/// How long the certificate lasts: what was asked for, within bounds.
pub fn life(request: &CertificateSigningRequest) -> SignedDuration {
    match request.spec.expiration_seconds {
        Some(seconds) => SignedDuration::from_secs(seconds.into()).clamp(SHORTEST, LIFE),
        None => LIFE,
    }
}

/// Why the signer would not sign.
pub fn objection(signer: &str, asked: &Asked, usages: &[String]) -> Option<String> {
    match signer {
        "kubernetes.io/kube-apiserver-client" => client_usages(usages),
        "kubernetes.io/kube-apiserver-client-kubelet" => kubelet_client(asked, usages),
        "kubernetes.io/kubelet-serving" => kubelet_serving(asked, usages),
        _ => None,
    }
}

fn client_usages(usages: &[String]) -> Option<String> {
    let known = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !known.contains(&usage.as_str())) {
        return Some(format!("invalid usage for client certificate: {other}"));
    }
    let is_client = usages.iter().any(|usage| usage == "client auth");
    (!is_client).then(|| "missing required usage for client certificate: client auth".to_owned())
}

fn kubelet_client(asked: &Asked, usages: &[String]) -> Option<String> {
    let why = if asked.organizations != ["system:nodes"] {
        "subject organization is not system:nodes"
    } else if asked.dns_names {
        "DNS subjectAltNames are not allowed"
    } else if asked.emails {
        "Email subjectAltNames are not allowed"
    } else if asked.addresses {
        "IP subjectAltNames are not allowed"
    } else if asked.uris {
        "URI subjectAltNames are not allowed"
    } else if !asked.common_name.starts_with("system:node:") {
        "subject common name does not begin with system:node:"
    } else {
        return wrong_usages(usages, "client auth");
    };
    Some(why.to_owned())
}

fn kubelet_serving(asked: &Asked, usages: &[String]) -> Option<String> {
    if asked.organizations != ["system:nodes"] {
        return Some("subject organization is not system:nodes".to_owned());
    }
    if !asked.dns_names && !asked.addresses {
        return Some("DNS or IP subjectAltName is required".to_owned());
    }
    if asked.emails {
        return Some("Email subjectAltNames are not allowed".to_owned());
    }
    if asked.uris {
        return Some("URI subjectAltNames are not allowed".to_owned());
    }
    wrong_usages(usages, "server auth").or_else(|| {
        let is_node = asked.common_name.starts_with("system:node:");
        (!is_node).then(|| "subject common name does not begin with system:node:".to_owned())
    })
}

/// A kubelet's usages are `purpose` and signatures; keys that are not RSA
/// encipher none.
fn wrong_usages(usages: &[String], purpose: &str) -> Option<String> {
    let mut sorted: Vec<&str> = usages.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut wanted = vec!["digital signature", "key encipherment", purpose];
    wanted.sort_unstable();
    let shorter: Vec<&str> = wanted.iter().copied().filter(|usage| *usage != "key encipherment").collect();
    if sorted == wanted || sorted == shorter {
        return None;
    }
    Some(format!("usages did not match [{}]", wanted.join(" ")))
}

/// The condition of a request that was not signed.
pub fn failed(why: String, now: Timestamp) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: "Failed".into(),
        status: "True".into(),
        reason: Some("SignerValidationFailure".into()),
        message: Some(why),
        last_update_time: Some(Time(now)),
        last_transition_time: None,
    }
}
