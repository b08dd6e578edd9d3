//! The cluster's authority for the controller that signs certificate requests,
//! and its keys for the one that fills Secrets with tokens. What may be signed
//! is decided there.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, LegacyClaims, SigningRequest, Usages};

/// Signs with the cluster's authority.
pub struct AuthoritySigner {
    pub pki: Arc<ClusterPki>,
    /// No certificate lives longer, whatever was asked for.
    pub longest: SignedDuration,
}

impl controllers::Signer for AuthoritySigner {
    fn read(&self, request: &[u8]) -> Result<controllers::Asked, String> {
        let read = SigningRequest::read(request).map_err(|why| why.to_string())?;
        Ok(controllers::Asked {
            common_name: read.common_name,
            organizations: read.organizations,
            dns_names: !read.dns_names.is_empty(),
            addresses: !read.addresses.is_empty(),
            emails: !read.emails.is_empty(),
            uris: !read.uris.is_empty(),
        })
    }

    fn sign(
        &self,
        request: &[u8],
        usages: &[String],
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let request = SigningRequest::read(request).map_err(|why| why.to_string())?;
        let usages = Usages::from_names(usages.iter().map(String::as_str));
        let signed = self.pki.authority.sign(&request, &usages, life.min(self.longest), now);
        signed.map(String::into_bytes).map_err(|why| why.to_string())
    }
}

/// Signs tokens that lie in Secrets with the cluster's key.
pub struct TokenSigner(pub Arc<ClusterPki>);

impl controllers::TokenSigner for TokenSigner {
    fn sign(&self, token: &controllers::SecretToken<'_>) -> Result<String, String> {
        let claims = LegacyClaims {
            namespace: token.namespace.to_owned(),
            secret: token.secret.to_owned(),
            account: token.account.to_owned(),
            account_uid: token.account_uid.to_owned(),
            sub: format!("system:serviceaccount:{}:{}", token.namespace, token.account),
        };
        self.0.service_accounts.sign_legacy(&claims).map_err(|why| why.to_string())
    }
}
