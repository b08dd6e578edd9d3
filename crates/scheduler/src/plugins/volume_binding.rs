//! VolumeBinding (PreFilter, Filter): a pod runs only where the volumes of its
//! claims can be had.
//!
//! Claims are bound by their controller: one that is bound at once must be
//! bound before its pod is placed. What waits for its first consumer keeps no
//! pod from a node.

use std::sync::Arc;

use api::node::{NodeView, matches};
use k8s_openapi::api::core::v1::NodeSelector;

use crate::PodInfo;
use crate::cluster::NodeInfo;
use crate::framework::{Change, Cycle, Filter, Hint, Plugin, PreFilter, Prepared, Rejection};

pub struct VolumeBinding;

/// What of a PersistentVolumeClaim a decision looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    pub terminating: bool,
    /// The volume that it is bound to for good.
    pub volume: Option<String>,
    pub class: String,
}

/// What of a PersistentVolume a decision looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    /// The nodes that can mount it; None: any.
    pub nodes: Option<NodeSelector>,
}

const GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn hint(&self, _: &PodInfo, change: &Change) -> Hint {
        Hint::queue_if(matches!(change, Change::StorageChanged) || change.alters_node(|node| &node.labels))
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }
}

impl PreFilter for VolumeBinding {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        let names = &cycle.pod.wishes().claims;
        if names.is_empty() {
            return Prepared::Skip;
        }
        let mut volumes = Vec::new();
        for name in names {
            let Some(claim) = cycle.cluster.claim(&cycle.pod.namespace, name) else {
                let why = format!("persistentvolumeclaim {name:?} not found");
                return Prepared::Reject(Rejection::unresolvable(why));
            };
            if claim.terminating {
                let why = format!("persistentvolumeclaim {name:?} is being deleted");
                return Prepared::Reject(Rejection::unresolvable(why));
            }
            match &claim.volume {
                Some(volume) => volumes.push(cycle.cluster.volume(volume)),
                None if cycle.cluster.binds_late(&claim.class) => {}
                None => {
                    let why = "pod has unbound immediate PersistentVolumeClaims";
                    return Prepared::Reject(Rejection::unresolvable(why));
                }
            }
        }
        Prepared::Filter(Box::new(Bound(volumes)))
    }
}

/// The volumes of a pod's claims; None for one that is gone.
struct Bound<'c>(Vec<Option<&'c Arc<Volume>>>);

impl Filter for Bound<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        for volume in &self.0 {
            let Some(volume) = volume else { return Err(Rejection::unresolvable(GONE)) };
            let view = NodeView { name: node.name(), labels: node.labels() };
            if volume.nodes.as_ref().is_some_and(|nodes| !matches(nodes, view)) {
                return Err(Rejection::unresolvable(ELSEWHERE));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, decide, filtered, node, pod};

    fn claim(volume: Option<&str>, class: &str) -> Option<Arc<Claim>> {
        Some(Arc::new(Claim { volume: volume.map(str::to_owned), class: class.into(), terminating: false }))
    }

    #[test]
    fn pods_wait_for_their_volumes_and_follow_them() {
        let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
        let pod = pod(
            "p",
            json!({"spec": {"volumes": [
                {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
            ]}}),
        );
        let refused = |cluster: &crate::Cluster| decide(cluster, &pod).unwrap_err().to_string();
        assert_eq!(refused(&cluster), "0/2 nodes are available: persistentvolumeclaim \"data\" not found.");
        cluster.put_claim("default", "data", claim(None, "now"));
        assert_eq!(
            refused(&cluster),
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        );
        cluster.put_class("now", true);
        assert!(decide(&cluster, &pod).is_ok(), "it is bound late");
        cluster.put_claim("default", "data", claim(Some("disk"), "now"));
        assert_eq!(filtered(&VolumeBinding, &cluster, &pod), [format!("!{GONE}"), format!("!{GONE}")]);
        let nodes = json!({"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}
        ]}]});
        let nodes = Some(serde_json::from_value(nodes).unwrap());
        cluster.put_volume("disk", Some(Arc::new(Volume { nodes })));
        assert_eq!(filtered(&VolumeBinding, &cluster, &pod), [format!("!{ELSEWHERE}"), "ok".to_owned()]);
        let going = Claim { terminating: true, ..Claim::default() };
        cluster.put_claim("default", "data", Some(Arc::new(going)));
        assert_eq!(
            refused(&cluster),
            "0/2 nodes are available: persistentvolumeclaim \"data\" is being deleted."
        );
    }
}
