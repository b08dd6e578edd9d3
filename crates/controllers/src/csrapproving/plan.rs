//! Which requests are known, and what their user must be allowed. Pure.

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};

use crate::csrsigning::{Asked, objection};

const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// A right of which one is enough, and what an approval by it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The subresource of certificatesigningrequests that the user may create.
    pub subresource: &'static str,
    pub message: &'static str,
}

const OWN: Right = Right {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const NODE: Right = Right {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// Whether nobody has decided yet.
pub fn is_open(request: &CertificateSigningRequest) -> bool {
    let status = request.status.clone().unwrap_or_default();
    let is_signed = status.certificate.is_some_and(|certificate| !certificate.0.is_empty());
    let mut conditions = status.conditions.iter().flatten();
    !is_signed && !conditions.any(|one| matches!(one.type_.as_str(), "Approved" | "Denied"))
}

/// The rights to ask for, in order; none for a request that is not a node's.
pub fn plan(request: &CertificateSigningRequest, asked: &Asked) -> Vec<Right> {
    let usages = request.spec.usages.clone().unwrap_or_default();
    if !is_open(request)
        || request.spec.signer_name != KUBELET_CLIENT
        || objection(KUBELET_CLIENT, asked, &usages).is_some()
    {
        return Vec::new();
    }
    let is_own = request.spec.username.as_deref() == Some(&asked.common_name);
    is_own.then_some(OWN).into_iter().chain([NODE]).collect()
}

/// The condition of an approved request.
pub fn approval(right: Right) -> CertificateSigningRequestCondition {
    CertificateSigningRequestCondition {
        type_: "Approved".into(),
        status: "True".into(),
        reason: Some("AutoApproved".into()),
        message: Some(right.message.into()),
        last_update_time: None,
        last_transition_time: None,
    }
}
