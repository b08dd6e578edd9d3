//! The cluster's authority for the controller that signs certificate requests.
//! What may be signed is decided there.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, SigningRequest, Usages};

/// Signs with the cluster's authority.
pub struct AuthoritySigner(pub Arc<ClusterPki>);

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
        let signed = self.0.authority.sign(&request, &usages, life, now);
        signed.map(String::into_bytes).map_err(|why| why.to_string())
    }
}
