//! CertificateApproval, CertificateSigning and CertificateSubjectRestriction:
//! who may approve and sign requests of a signer, and which subjects nobody gets.

use std::sync::Arc;

use apimachinery::{Status, Value};
use apiserver::{Action, Admission, AdmissionPlugin, Authorizer, Notes, Operation, decide};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

fn is_request(admission: &Admission<'_>, subresource: &str, operation: Operation) -> bool {
    admission.definition.group == GROUP
        && admission.definition.resource == "certificatesigningrequests"
        && admission.subresource == subresource
        && admission.operation == operation
}

/// Whether the user may do `verb` for a signer by name or for its whole domain.
fn may_for_signer(
    authorizers: &[Arc<dyn Authorizer>],
    admission: &Admission<'_>,
    verb: &str,
    signer: &str,
) -> bool {
    let domain = signer.split('/').next().unwrap_or(signer);
    [signer.to_owned(), format!("{domain}/*")].iter().any(|name| {
        let action = Action { name, ..Action::on(admission.user, verb, GROUP, "signers") };
        decide(authorizers, &action, admission.view).is_allowed()
    })
}

/// Approving needs the verb `approve` on the signer.
pub(crate) struct CertificateApproval {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

impl AdmissionPlugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        is_request(admission, "approval", Operation::Update)
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let signer = object["spec"]["signerName"].text();
        if may_for_signer(&self.authorizers, admission, "approve", signer) {
            return Ok(());
        }
        Err(admission
            .forbid(object, format!("user not permitted to approve requests with signerName {signer:?}")))
    }
}

/// Giving a certificate, or failing a request, needs the verb `sign` on the signer.
pub(crate) struct CertificateSigning {
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

impl AdmissionPlugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        is_request(admission, "status", Operation::Update)
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let unchanged = admission.old.is_some_and(|old| {
            old["status"]["certificate"] == object["status"]["certificate"]
                && old["status"]["conditions"] == object["status"]["conditions"]
        });
        let signer = object["spec"]["signerName"].text();
        if unchanged || may_for_signer(&self.authorizers, admission, "sign", signer) {
            return Ok(());
        }
        Err(admission
            .forbid(object, format!("user not permitted to sign requests with signerName {signer:?}")))
    }
}

/// Nobody gets a client certificate of the group that may do anything.
pub(crate) struct CertificateSubjectRestriction;

impl AdmissionPlugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        is_request(admission, "", Operation::Create)
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let spec = &object["spec"];
        if spec["signerName"].text() != CLIENT_SIGNER {
            return Ok(());
        }
        let is_masters = |part: &AttributeTypeAndValue<'_>| part.as_str() == Ok("system:masters");
        let masters = subject(&spec["request"], |subject| subject.iter_organization().any(is_masters));
        if masters == Ok(true) {
            let why = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
            return Err(admission.forbid(object, why));
        }
        Ok(())
    }
}

/// What `read` finds in the subject of a PKCS#10 request: PEM in base64, as it
/// stands in `spec.request`; otherwise why it is none.
pub(crate) fn subject<T>(request: &Value, read: impl FnOnce(&X509Name<'_>) -> T) -> Result<T, String> {
    use base64::Engine;
    let pem = base64::engine::general_purpose::STANDARD.decode(request.text()).unwrap_or_default();
    let block = x509_parser::pem::parse_x509_pem(&pem).ok().map(|(_, block)| block);
    let Some(block) = block.filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Err("PEM block type must be CERTIFICATE REQUEST".into());
    };
    match X509CertificationRequest::from_der(&block.contents) {
        Ok((_, request)) => Ok(read(&request.certification_request_info.subject)),
        Err(error) => Err(error.to_string()),
    }
}
