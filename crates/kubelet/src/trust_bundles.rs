//! ClusterTrustBundles that pods of this node project: watched as a whole
//! while some pod does, for a selector may take in any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Value;
use apimachinery::labels::Selector;
use client::{Document, Error, Resource, Transport};
use edge::{Edge, Tasks};
use informer::{Informer, ObjectKey, Options, Projection};
use k8s_openapi::api::core::v1::{ClusterTrustBundleProjection, Pod};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::pod::spec::PodExt;

/// How long a pod's step waits for the first list.
const PATIENCE: Duration = Duration::from_secs(60);
/// Columns of base64 in a PEM text.
const COLUMNS: usize = 64;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// What a ClusterTrustBundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustBundle {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// Empty: of nobody.
    pub signer: String,
    pub pem: String,
}

impl Projection for TrustBundle {
    fn project(document: &Document) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            metadata: Metadata,
            spec: Spec,
        }
        #[derive(Deserialize)]
        struct Metadata {
            name: String,
            #[serde(default)]
            labels: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            #[serde(default)]
            signer_name: String,
            trust_bundle: String,
        }
        let Part { metadata, spec } = document.decode_part()?;
        Ok(Self {
            name: metadata.name,
            labels: metadata.labels,
            signer: spec.signer_name,
            pem: spec.trust_bundle,
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new("", self.name.clone())
    }
}

/// The anchors that a projection selects, each once, in an order of their own.
pub fn anchors(
    bundles: &[Arc<TrustBundle>],
    wanted: &ClusterTrustBundleProjection,
) -> Result<String, String> {
    let selector = match &wanted.label_selector {
        None => Selector::nothing(),
        Some(selector) => Value::from_serialize(selector)
            .ok()
            .and_then(|tree| Selector::of_label_selector(&tree).ok())
            .ok_or("while parsing label selector: it cannot be read")?,
    };
    let selected = |bundle: &&Arc<TrustBundle>| match (&wanted.name, &wanted.signer_name) {
        (Some(name), _) => bundle.name == *name,
        (None, Some(signer)) => bundle.signer == *signer && selector.matches(&bundle.labels),
        (None, None) => false,
    };
    let selected: Vec<_> = bundles.iter().filter(selected).collect();
    if selected.is_empty() && wanted.optional != Some(true) {
        return Err(match &wanted.name {
            Some(name) => {
                format!(
                    "while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io {name:?} not found"
                )
            }
            None => "combination of signerName and labelSelector matched zero ClusterTrustBundles".into(),
        });
    }
    let distinct: BTreeSet<String> = selected.iter().flat_map(|bundle| bodies(&bundle.pem)).collect();
    let mut out = String::new();
    for body in distinct {
        out.push_str(BEGIN);
        for (at, letter) in body.chars().enumerate() {
            if at % COLUMNS == 0 {
                out.push('\n');
            }
            out.push(letter);
        }
        out.push('\n');
        out.push_str(END);
        out.push('\n');
    }
    Ok(out)
}

/// The base64 of each certificate, without blanks. (The API has checked that
/// there is nothing else.)
fn bodies(pem: &str) -> impl Iterator<Item = String> + '_ {
    pem.split(BEGIN).skip(1).map(|rest| {
        let body = rest.split(END).next().unwrap_or_default();
        body.chars().filter(|letter| !letter.is_whitespace()).collect()
    })
}

fn wants(pod: &Pod) -> bool {
    let volumes = pod.spec().volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref());
    volumes.flat_map(|one| one.sources.iter().flatten()).any(|source| source.cluster_trust_bundle.is_some())
}

/// Watches while somebody uses them.
pub struct TrustBundles {
    edge: Edge,
    transport: Arc<dyn Transport>,
    /// Uids of pods whose bundles may have changed.
    changed: mpsc::UnboundedSender<String>,
    watched: Mutex<Option<Watched>>,
}

struct Watched {
    informer: Informer<TrustBundle>,
    users: Arc<Mutex<BTreeSet<String>>>,
    tasks: Tasks,
}

impl TrustBundles {
    pub fn new(edge: Edge, transport: Arc<dyn Transport>, changed: mpsc::UnboundedSender<String>) -> Self {
        Self { edge, transport, changed, watched: Mutex::default() }
    }

    /// Begins to watch where the pod projects bundles.
    pub fn hold(&self, pod: &Pod) {
        if wants(pod) {
            let mut watched = self.watched.lock();
            watched.get_or_insert_with(|| self.watch()).users.lock().insert(pod.uid().to_owned());
        }
    }

    /// Ends it with the last such pod.
    pub fn release(&self, pod: &Pod) {
        let mut watched = self.watched.lock();
        let unused = watched.as_ref().is_some_and(|watched| {
            let mut users = watched.users.lock();
            users.remove(pod.uid()) && users.is_empty()
        });
        if unused && let Some(watched) = watched.take() {
            watched.tasks.stop();
        }
    }

    fn watch(&self) -> Watched {
        let tasks = self.edge.tasks.child();
        let edge = self.edge.with_tasks(tasks.clone());
        let resource = Resource::new("certificates.k8s.io", "v1", "clustertrustbundles");
        let informer = Informer::start(&edge, self.transport.clone(), resource, Options::default());
        let users = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let (changed, told) = (self.changed.clone(), users.clone());
        informer.on_change(move |_| {
            for uid in told.lock().iter() {
                // The receiver ends with the kubelet.
                let _ = changed.send(uid.clone());
            }
        });
        Watched { informer, users, tasks }
    }

    /// All bundles, where the pod projects some. Waits for the first list.
    pub async fn fetch(&self, pod: &Pod) -> Result<Vec<Arc<TrustBundle>>, String> {
        if !wants(pod) {
            return Ok(Vec::new());
        }
        let informer = self.watched.lock().as_ref().map(|watched| watched.informer.clone());
        let Some(informer) = informer else { return Ok(Vec::new()) };
        match tokio::time::timeout(PATIENCE, informer.synced()).await {
            Ok(()) => Ok(informer.list()),
            Err(_) => Err("ClusterTrustBundle informer has not yet synced".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bundle(name: &str, signer: &str, alive: &str, bodies: &[&str]) -> Arc<TrustBundle> {
        let pem = bodies.iter().map(|body| format!("{BEGIN}\n{body}\n{END}\n")).collect();
        let labels = BTreeMap::from([("alive".to_owned(), alive.to_owned())]);
        Arc::new(TrustBundle { name: name.into(), labels, signer: signer.into(), pem })
    }

    #[test]
    fn anchors_are_selected_and_never_twice() {
        let bundles = [
            bundle("free", "", "yes", &["QQ=="]),
            bundle("ex.com:s:1", "ex.com/s", "yes", &["Qg==", "QQ\n=="]),
            bundle("ex.com:s:2", "ex.com/s", "no", &["Qg==", "Qw=="]),
        ];
        let rows = [
            (json!({"name": "free", "path": "p"}), Ok(vec!["QQ=="])),
            (json!({"name": "none", "path": "p"}), Err("\"none\" not found")),
            (json!({"name": "none", "path": "p", "optional": true}), Ok(vec![])),
            (
                json!({"signerName": "ex.com/s", "path": "p", "labelSelector": {}}),
                Ok(vec!["QQ==", "Qg==", "Qw=="]),
            ),
            (
                json!({"signerName": "ex.com/s", "path": "p", "labelSelector": {"matchLabels": {"alive": "no"}}}),
                Ok(vec!["Qg==", "Qw=="]),
            ),
            (json!({"signerName": "ex.com/s", "path": "p"}), Err("matched zero ClusterTrustBundles")),
            (json!({"signerName": "ex.com/s", "path": "p", "optional": true}), Ok(vec![])),
        ];
        for (wanted, expected) in rows {
            let wanted: ClusterTrustBundleProjection = serde_json::from_value(wanted).unwrap();
            match (anchors(&bundles, &wanted), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(super::bodies(&text).collect::<Vec<_>>(), expected),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                other => panic!("{wanted:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn lines_are_as_long_as_openssl_writes_them() {
        let long = "A".repeat(130);
        let text = anchors(
            &[bundle("a", "", "", &[&long])],
            &ClusterTrustBundleProjection { name: Some("a".into()), ..Default::default() },
        )
        .unwrap();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 64, 2, 25]);
    }
}
