//! Table tests of the plan.

use apimachinery::value;
use jiff::SignedDuration;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::Asked;
use super::plan::{is_due, life, objection};

fn request(signer: &str, conditions: &[&str], seconds: Option<i64>) -> CertificateSigningRequest {
    let conditions: Vec<_> =
        conditions.iter().map(|kind| value!({"type": (*kind), "status": "True"})).collect();
    let mut made = value!({
        "metadata": {"name": "r"},
        "spec": {"request": "", "signerName": signer, "usages": ["client auth"]},
        "status": {"conditions": conditions}
    });
    if let Some(seconds) = seconds {
        made.entry("spec").set("expirationSeconds", seconds);
    }
    made.decode().unwrap()
}

#[test]
fn approved_requests_of_own_signers_are_due() {
    let own = "kubernetes.io/kube-apiserver-client";
    assert!(is_due(&request(own, &["Approved"], None)));
    assert!(!is_due(&request(own, &[], None)));
    assert!(!is_due(&request(own, &["Approved", "Failed"], None)));
    assert!(!is_due(&request("ex.com/own", &["Approved"], None)));
}

#[test]
fn a_certificate_lasts_as_long_as_was_asked_within_bounds() {
    let lives = [(None, 31_536_000), (Some(1), 600), (Some(3600), 3600), (Some(99_999_999), 31_536_000)];
    for (asked, seconds) in lives {
        assert_eq!(life(&request("", &[], asked)), SignedDuration::from_secs(seconds), "{asked:?}");
    }
}

#[test]
fn signers_object_to_what_is_not_theirs() {
    let usages = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let node = Asked {
        common_name: "system:node:n".into(),
        organizations: vec!["system:nodes".into()],
        ..Asked::default()
    };
    let serving = Asked { dns_names: true, ..node.clone() };
    let client = ["digital signature", "client auth"];
    let server = ["digital signature", "key encipherment", "server auth"];
    let why = |signer: &str, asked: &Asked, names: &[&str]| {
        objection(&format!("kubernetes.io/{signer}"), asked, &usages(names)).unwrap_or_default()
    };
    assert_eq!(why("kube-apiserver-client", &Asked::default(), &client), "");
    assert_eq!(
        why("kube-apiserver-client", &node, &server),
        "invalid usage for client certificate: server auth"
    );
    assert_eq!(
        why("kube-apiserver-client", &node, &[]),
        "missing required usage for client certificate: client auth"
    );
    assert_eq!(why("kube-apiserver-client-kubelet", &node, &client), "");
    assert_eq!(
        why("kube-apiserver-client-kubelet", &serving, &client),
        "DNS subjectAltNames are not allowed"
    );
    assert_eq!(why("kubelet-serving", &serving, &server), "");
    assert_eq!(why("kubelet-serving", &node, &server), "DNS or IP subjectAltName is required");
    assert_eq!(
        why("kubelet-serving", &serving, &client),
        "usages did not match [digital signature key encipherment server auth]"
    );
    assert_eq!(
        why("kubelet-serving", &Asked::default(), &server),
        "subject organization is not system:nodes"
    );
    assert_eq!(why("legacy-unknown", &Asked::default(), &[]), "");
}
