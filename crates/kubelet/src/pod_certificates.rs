//! Certificates that pods project: for each a key is made here, a
//! PodCertificateRequest asks a signer, and both are renewed in time. Keys are
//! in memory only.

use std::collections::BTreeMap;

use client::Api;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{PodCertificateRequest, PodCertificateRequestSpec};
use k8s_openapi::api::core::v1::{Node, Pod, PodCertificateProjection, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use parking_lot::Mutex;
use pki::PodKey;

use crate::drivers::Drivers;
use crate::pod::spec::PodExt;

/// Volume and index of its source.
pub type CertificateKey = (String, usize);

/// How often a pending request is looked at.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// How often, where a certificate is there and only its successor is awaited.
const LOOK_FOR_SUCCESSOR: SignedDuration = SignedDuration::from_secs(30);

/// What a volume shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub key: String,
    pub chain: String,
}

/// What the pod's volumes ask for.
fn wanted(pod: &Pod) -> BTreeMap<CertificateKey, PodCertificateProjection> {
    let mut wanted = BTreeMap::new();
    for volume in pod.spec().volumes.iter().flatten() {
        let sources = volume.projected.iter().flat_map(|one| one.sources.iter().flatten());
        for (at, source) in sources.enumerate() {
            if let Some(certificate) = &source.pod_certificate {
                wanted.insert((volume.name.clone(), at), certificate.clone());
            }
        }
    }
    wanted
}

/// A key whose certificate has been asked for.
#[derive(Clone, Debug)]
struct Pending {
    key: String,
    request: String,
}

#[derive(Clone, Debug, Default)]
struct Credential {
    held: Option<(Bundle, Timestamp)>,
    pending: Option<Pending>,
    /// Why there will never be another.
    over: Option<String>,
}

impl Credential {
    /// Whether it is time to ask for a certificate.
    fn must_ask(&self, now: Timestamp) -> bool {
        self.pending.is_none()
            && self.over.is_none()
            && self.held.as_ref().is_none_or(|(_, refresh)| now >= *refresh)
    }

    /// Takes what became of the pending request; None is that it is gone.
    fn take(&mut self, request: Option<&PodCertificateRequest>, now: Timestamp) {
        let Some(pending) = self.pending.take() else { return };
        let Some(request) = request else { return };
        let status = request.status.clone().unwrap_or_default();
        for condition in status.conditions.iter().flatten() {
            let (reason, message) = (&condition.reason, &condition.message);
            match condition.type_.as_str() {
                "Denied" => {
                    self.over = Some(format!(
                        "PodCertificateRequest was permanently denied: reason={reason:?} message={message:?}"
                    ));
                    return;
                }
                "Failed" => {
                    self.over = Some(format!(
                        "PodCertificateRequest was permanently failed: reason={reason:?} message={message:?}"
                    ));
                    return;
                }
                "Issued" => {
                    let refresh = status.begin_refresh_at.map_or(now, |at| at.0);
                    let chain = status.certificate_chain.unwrap_or_default();
                    self.held = Some((Bundle { key: pending.key, chain }, refresh));
                    return;
                }
                _ => {}
            }
        }
        self.pending = Some(pending);
    }

    fn bundle(&self) -> Result<Bundle, String> {
        match (&self.over, &self.held) {
            (Some(why), _) => Err(why.clone()),
            (None, Some((bundle, _))) => Ok(bundle.clone()),
            (None, None) => Err("credential bundle is not issued yet".into()),
        }
    }

    /// When to look again.
    fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let after = |pause| now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        match (&self.over, &self.pending, &self.held) {
            (Some(_), ..) => None,
            (None, Some(_), None) => Some(after(LOOK_AGAIN)),
            (None, Some(_), Some(_)) => Some(after(LOOK_FOR_SUCCESSOR)),
            (None, None, held) => held.as_ref().map(|(_, refresh)| *refresh),
        }
    }
}

/// What a pod's step needs of its certificates.
#[derive(Debug, Default)]
pub struct Certificates {
    pub bundles: BTreeMap<CertificateKey, Result<Bundle, String>>,
    pub wake: Option<Timestamp>,
}

/// The certificates of this node's pods.
#[derive(Default)]
pub struct PodCertificates {
    /// By the pod's uid.
    held: Mutex<BTreeMap<String, BTreeMap<CertificateKey, Credential>>>,
}

impl PodCertificates {
    /// All that the pod's volumes want, asked for where it is time.
    pub async fn of_pod(
        &self,
        drivers: &Drivers,
        node: &str,
        pod: &Pod,
        now: Timestamp,
    ) -> Result<Certificates, String> {
        let wanted = wanted(pod);
        let mut out = Certificates::default();
        if wanted.is_empty() {
            return Ok(out);
        }
        let requests: Api<PodCertificateRequest> =
            Api::namespaced(drivers.transport.clone(), pod.namespace());
        let mut credentials = self.held.lock().get(pod.uid()).cloned().unwrap_or_default();
        for (key, projection) in wanted {
            let credential = credentials.entry(key.clone()).or_default();
            if let Some(pending) = &credential.pending {
                let found = match requests.find(&pending.request).await {
                    Ok(found) => found,
                    Err(error) => {
                        let why =
                            format!("while getting PodCertificateRequest {:?}: {error}", pending.request);
                        out.bundles.insert(key, Err(why));
                        continue;
                    }
                };
                credential.take(found.as_ref(), now);
            }
            if credential.must_ask(now) {
                match ask(drivers, &requests, node, pod, &projection).await {
                    Ok(pending) => credential.pending = Some(pending),
                    Err(why) if credential.held.is_none() => {
                        out.bundles.insert(key, Err(why));
                        continue;
                    }
                    // The old one holds for a while.
                    Err(why) => tracing::warn!(pod = pod.name(), why, "a certificate cannot be renewed"),
                }
            }
            out.wake = [out.wake, credential.wake(now)].into_iter().flatten().min();
            out.bundles.insert(key, credential.bundle());
        }
        self.held.lock().insert(pod.uid().to_owned(), credentials);
        Ok(out)
    }

    pub fn forget(&self, uid: &str) {
        self.held.lock().remove(uid);
    }
}

async fn ask(
    drivers: &Drivers,
    requests: &Api<PodCertificateRequest>,
    node: &str,
    pod: &Pod,
    projection: &PodCertificateProjection,
) -> Result<Pending, String> {
    let account = pod.spec().service_account_name.clone().unwrap_or_else(|| "default".into());
    let accounts: Api<ServiceAccount> = Api::namespaced(drivers.transport.clone(), pod.namespace());
    let account_uid = match accounts.get(&account).await {
        Ok(found) => found.metadata.uid.unwrap_or_default(),
        Err(error) => return Err(format!("while fetching service account: {error}")),
    };
    let nodes: Api<Node> = Api::all(drivers.transport.clone());
    let node_uid = match nodes.get(node).await {
        Ok(found) => found.metadata.uid.unwrap_or_default(),
        Err(error) => return Err(format!("while getting node object: {error}")),
    };
    let kind = projection.key_type.clone();
    let key = drivers
        .edge
        .tasks
        .spawn_blocking(move || PodKey::generate(&kind))
        .await
        .ok_or("the program stops")?
        .map_err(|error| format!("while generating keypair: {error}"))?;
    let request = PodCertificateRequest {
        metadata: ObjectMeta {
            namespace: Some(pod.namespace().into()),
            generate_name: Some("req-".into()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Pod".into(),
                name: pod.name().into(),
                uid: pod.uid().into(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: PodCertificateRequestSpec {
            signer_name: projection.signer_name.clone(),
            pod_name: pod.name().into(),
            pod_uid: pod.uid().into(),
            service_account_name: account,
            service_account_uid: account_uid,
            node_name: node.into(),
            node_uid,
            max_expiration_seconds: projection.max_expiration_seconds,
            stub_pkc_s10_request: ByteString(key.request),
            unverified_user_annotations: projection.user_annotations.clone(),
        },
        status: None,
    };
    let made = requests
        .create(&request)
        .await
        .map_err(|error| format!("while creating PodCertificateRequest: {error}"))?;
    Ok(Pending { key: key.pem, request: made.metadata.name.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(condition: &str) -> PodCertificateRequest {
        serde_json::from_value(json!({
            "metadata": {"name": "req-1"},
            "spec": {"signerName": "s", "podName": "p", "podUID": "u", "serviceAccountName": "a",
                "serviceAccountUID": "b", "nodeName": "n", "nodeUID": "c", "stubPKCS10Request": ""},
            "status": {"certificateChain": "CHAIN", "beginRefreshAt": "2026-01-01T12:00:00Z", "conditions": [
                {"type": condition, "status": "True", "reason": "R", "message": "M", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_credential_follows_its_request() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let pending = || Some(Pending { key: "KEY".into(), request: "req-1".into() });
        let mut one = Credential::default();
        assert!(one.must_ask(now) && one.bundle().is_err());
        one.pending = pending();
        assert_eq!(
            (one.must_ask(now), one.wake(now).map(|at| at.duration_since(now).as_secs())),
            (false, Some(1))
        );
        one.take(Some(&request("Other")), now);
        assert!(one.pending.is_some());
        one.take(None, now);
        assert!(one.must_ask(now), "a request that is gone is made again");
        one.pending = pending();
        one.take(Some(&request("Issued")), now);
        assert_eq!(one.bundle().unwrap(), Bundle { key: "KEY".into(), chain: "CHAIN".into() });
        assert_eq!((one.must_ask(now), one.must_ask(noon), one.wake(now)), (false, true, Some(noon)));
        one.pending = pending();
        one.take(Some(&request("Denied")), noon);
        assert!(one.bundle().unwrap_err().contains("permanently denied") && !one.must_ask(noon));
        assert_eq!(one.wake(noon), None);
    }
}
