//! What a kubelet asks for in the name of its pods: tokens of their service
//! accounts and certificates; and certificates of its own.

use apimachinery::field::quote;
use apimachinery::{Status, Value, meta};
use apiserver::{Action, Operation, decide};

use super::pods::missing;
use super::{Asked, USER_PREFIX};
use crate::certificate;
use crate::service_account::MIRROR;

/// Whether the kubelet was given the right to `verb` something for a service account.
fn is_granted(asked: Asked<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let admission = asked.admission;
    let action = Action {
        version: &admission.version.name,
        namespace: admission.namespace,
        name,
        ..Action::on(admission.user, verb, &admission.definition.group, resource)
    };
    decide(asked.authorizers, &action, admission.view).is_allowed()
}

pub(super) fn token(asked: Asked<'_>) -> Result<(), Status> {
    if asked.admission.operation != Operation::Create {
        return Ok(());
    }
    let spec = &asked.object["spec"];
    let reference = &spec["boundObjectRef"];
    let (kind, name, uid) = (reference["kind"].text(), reference["name"].text(), reference["uid"].text());
    asked.require(reference["apiVersion"].text() == "v1" && kind == "Pod" && !name.is_empty(), || {
        "node requested token not bound to a pod".into()
    })?;
    asked.require(!uid.is_empty(), || "node requested token with a pod binding without a uid".into())?;
    let pod = asked.admission.view.get("", "pods", asked.admission.namespace, name);
    let pod = pod.ok_or_else(|| missing("pod", name))?.tree();
    asked.require(uid == meta::uid(&pod), || {
        format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        )
    })?;
    asked.require(pod["spec"]["nodeName"].text() == asked.node, || {
        "node requested token bound to a pod scheduled on a different node".into()
    })?;
    audience(asked, &pod, spec["audiences"].items()).map_err(|why| asked.forbid(why))
}

/// A token is for an audience that the pod mounts one for, or that was granted.
fn audience(asked: Asked<'_>, pod: &Value, audiences: &[Value]) -> Result<(), String> {
    let audience = match audiences {
        [] => "",
        [one] => one.text(),
        _ => return Err("node may only request 0 or 1 audiences".into()),
    };
    if is_mounted(asked, pod, audience)
        .map_err(|why| format!("error validating audience {}: {why}", quote(audience)))?
    {
        return Ok(());
    }
    let verb = "request-serviceaccounts-token-audience";
    if is_granted(asked, verb, audience, asked.admission.name) {
        return Ok(());
    }
    let user = &asked.admission.user.name;
    Err(format!("{user} is not authorized to request tokens for audience {}", quote(audience)))
}

/// In-tree volumes and the drivers that they have become.
const MIGRATED: [(&str, &str); 7] = [
    ("awsElasticBlockStore", "ebs.csi.aws.com"),
    ("gcePersistentDisk", "pd.csi.storage.gke.io"),
    ("cinder", "cinder.csi.openstack.org"),
    ("azureDisk", "disk.csi.azure.com"),
    ("azureFile", "file.csi.azure.com"),
    ("vsphereVolume", "csi.vsphere.vmware.com"),
    ("portworxVolume", "pxd.portworx.com"),
];

fn migrated(volume: &Value) -> &'static str {
    MIGRATED.iter().find(|(source, _)| !volume[*source].is_null()).map_or("", |(_, driver)| driver)
}

/// Whether a volume of the pod gets a token for `audience`, itself or by the
/// driver that mounts it; what could not be found out, where that may be so.
fn is_mounted(asked: Asked<'_>, pod: &Value, audience: &str) -> Result<bool, String> {
    let view = asked.admission.view;
    let namespace = asked.admission.namespace;
    let not_found = |kind: &str, name: &str| format!("{kind} {} not found", quote(name));
    let driver_of_claim = |name: &str| {
        let claim = view.get("", "persistentvolumeclaims", namespace, name);
        let claim = claim.ok_or_else(|| not_found("persistentvolumeclaim", name))?.tree();
        let name = claim["spec"]["volumeName"].text();
        let volume = view.get("", "persistentvolumes", "", name);
        let spec = &volume.ok_or_else(|| not_found("persistentvolume", name))?.tree()["spec"];
        let driver = spec["csi"]["driver"].text();
        Ok(if driver.is_empty() { migrated(spec) } else { driver }.to_owned())
    };
    let mut errors: Vec<String> = Vec::new();
    for volume in pod["spec"]["volumes"].items() {
        let mut projected = volume["projected"]["sources"].items().iter();
        if projected.any(|source| {
            let token = &source["serviceAccountToken"];
            !token.is_null() && token["audience"].text() == audience
        }) {
            return Ok(true);
        }
        let driver = if !volume["ephemeral"]["volumeClaimTemplate"].is_null() {
            driver_of_claim(&format!("{}-{}", meta::name(pod), volume["name"].text()))
        } else if !volume["persistentVolumeClaim"].is_null() {
            driver_of_claim(volume["persistentVolumeClaim"]["claimName"].text())
        } else if !volume["csi"].is_null() {
            Ok(volume["csi"]["driver"].text().to_owned())
        } else {
            Ok(migrated(volume).to_owned())
        };
        let driver = match driver {
            Ok(driver) if driver.is_empty() => continue,
            Ok(driver) => driver,
            Err(why) => {
                errors.push(why);
                continue;
            }
        };
        match view.get("storage.k8s.io", "csidrivers", "", &driver) {
            None => errors.push(not_found("csidriver.storage.k8s.io", &driver)),
            Some(known) => {
                let requests = &known.tree()["spec"]["tokenRequests"];
                if requests.items().iter().any(|request| request["audience"].text() == audience) {
                    return Ok(true);
                }
            }
        }
    }
    errors.dedup();
    match errors.as_slice() {
        [] => Ok(false),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

pub(super) fn pod_certificate_request(asked: Asked<'_>) -> Result<(), Status> {
    let admission = asked.admission;
    if admission.operation != Operation::Create {
        return Err(asked.forbid(format!("unexpected operation {}", admission.operation.as_str())));
    }
    asked.require(admission.subresource.is_empty(), || {
        format!("unexpected subresource {}", admission.subresource)
    })?;
    let spec = &asked.object["spec"];
    let text = |field: &str| spec[field].text();
    let (view, namespace, node) = (admission.view, admission.namespace, asked.node);
    // What a cache may not know yet is no refusal: upstream gives it no code.
    let retrying = |what: String| Status::unknown(what);

    let named = text("nodeName");
    asked.require(named == node, || {
        format!(
            "PodCertificateRequest.Spec.NodeName={}, which is not the requesting node {node:?}",
            quote(named)
        )
    })?;
    let Some(known) = view.get("", "nodes", "", node) else {
        let why = missing("node", node).message;
        return Err(retrying(format!(
            "while retrieving node {node:?} named in the PodCertificateRequest: {why}"
        )));
    };
    let pod_name = text("podName");
    let place = quote(&format!("{namespace}/{pod_name}"));
    let uid = meta::uid(&known.tree()).to_owned();
    if uid != text("nodeUID") {
        return Err(retrying(format!(
            "PodCertificateRequest for pod {place} names node UID {}, inconsistent with the running node ({uid:?})",
            quote(text("nodeUID"))
        )));
    }

    let Some(pod) = view.get("", "pods", namespace, pod_name) else {
        let why = missing("pod", pod_name).message;
        return Err(retrying(format!(
            "while retrieving pod {place} named in the PodCertificateRequest: {why}"
        )));
    };
    let pod = pod.tree();
    if text("podUID") != meta::uid(&pod) {
        return Err(retrying(format!(
            "PodCertificateRequest for pod {place} contains pod UID ({}) which differs from running pod {:?}",
            quote(text("podUID")),
            meta::uid(&pod)
        )));
    }
    asked.require(pod["spec"]["nodeName"].text() == node, || {
        format!("pod {place} is not running on node {node:?} named in the PodCertificateRequest")
    })?;
    asked.require(pod["metadata"]["annotations"][MIRROR].is_null(), || {
        format!("pod {place} is a mirror pod")
    })?;

    let account = text("serviceAccountName");
    asked.require(account == pod["spec"]["serviceAccountName"].text(), || {
        format!(
            "PodCertificateRequest for pod {place} contains serviceAccountName ({}) that differs from running pod ({:?})",
            quote(account),
            pod["spec"]["serviceAccountName"].text()
        )
    })?;
    let Some(known) = view.get("", "serviceaccounts", namespace, account) else {
        let why = missing("serviceaccount", account).message;
        return Err(retrying(format!(
            "while retrieving service account {} named in the PodCertificateRequest: {why}",
            quote(&format!("{namespace}/{account}"))
        )));
    };
    let uid = meta::uid(&known.tree()).to_owned();
    if text("serviceAccountUID") != uid {
        return Err(retrying(format!(
            "PodCertificateRequest for pod {place} names service account UID {}, which differs from the running \
             service account ({uid:?})",
            quote(text("serviceAccountUID"))
        )));
    }

    let signer = text("signerName");
    // Rights cannot name a signer with its slash.
    let granted = || {
        let verb = "request-serviceaccounts-podcertificate-signer";
        is_granted(asked, verb, &signer.replace('/', ":"), account)
    };
    asked.require(mounts_certificate(&pod, signer) || granted(), || {
        format!("pod {place} does not mount a podCertificate projected volume for signer {}", quote(signer))
    })
}

fn mounts_certificate(pod: &Value, signer: &str) -> bool {
    let volumes = pod["spec"]["volumes"].items().iter();
    volumes.flat_map(|volume| volume["projected"]["sources"].items()).any(|source| {
        let certificate = &source["podCertificate"];
        !certificate.is_null() && certificate["signerName"].text() == signer
    })
}

/// Signers whose certificates make a node.
const NODE_SIGNERS: [&str; 2] =
    ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

pub(super) fn signing_request(asked: Asked<'_>) -> Result<(), Status> {
    let spec = &asked.object["spec"];
    if asked.admission.operation != Operation::Create || !NODE_SIGNERS.contains(&spec["signerName"].text()) {
        return Ok(());
    }
    let wanted = format!("{USER_PREFIX}{}", asked.node);
    let name = certificate::subject(&spec["request"], |subject| {
        let names = subject.iter_common_name().last().and_then(|name| name.as_str().ok());
        names.unwrap_or("").to_owned()
    });
    let name = name.map_err(|why| asked.forbid(format!("unable to parse csr: {why}")))?;
    asked.require(name == wanted, || format!("can only create a node CSR with CN={wanted}"))
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_pod_mounts_the_certificates_that_it_names() {
        let pod = value!({"spec": {"volumes": [{"emptyDir": {}},
            {"projected": {"sources": [{"configMap": {}}, {"podCertificate": {"signerName": "a.b/c"}}]}}]}});
        assert!(mounts_certificate(&pod, "a.b/c"));
        assert!(!mounts_certificate(&pod, ""));
    }

    #[test]
    fn in_tree_volumes_have_drivers() {
        assert_eq!(migrated(&value!({"name": "a", "azureDisk": {}})), "disk.csi.azure.com");
        assert_eq!(migrated(&value!({"name": "a", "emptyDir": {}})), "");
    }
}
