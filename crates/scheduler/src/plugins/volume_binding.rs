//! VolumeBinding (PreFilter, Filter, Reserve, PreBind): a pod runs only where
//! the volumes of its claims can be had.
//!
//! A claim that is bound at once must be bound before its pod is placed. One
//! that waits for its first consumer gets its volume with the pod's node: the
//! plugin chooses a volume that the node can mount, or says for which node one
//! is to be made, and waits until the claim's controller has bound it. What is
//! chosen for one pod is kept from others meanwhile.

mod bind;
mod facts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::node::{NodeView, matches};
use api::volume::{Binding, best, class_of_volume, is_bound_to, wanted};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use parking_lot::Mutex;

use facts::selected_node;
pub use facts::{Claim, Class, Volume};

use crate::PodInfo;
use crate::cluster::{Cluster, NodeInfo};
use crate::framework::{
    BindContext, Change, Cycle, Filter, Hint, Plugin, PreBind, PreFilter, Prepared, Rejection, Reserve,
};

#[derive(Default)]
pub struct VolumeBinding {
    /// What was chosen for each pod, by its uid, until the cluster shows it.
    chosen: Mutex<BTreeMap<String, Chosen>>,
}

/// What was chosen for a pod's claims.
#[derive(Clone, Debug, Default, PartialEq)]
struct Chosen {
    namespace: String,
    node: String,
    /// Claim and volume.
    matched: Vec<(String, String)>,
    /// Claims for which a volume is to be made.
    made: Vec<String>,
    /// The API was told.
    told: bool,
}

impl Chosen {
    fn claims(&self) -> impl Iterator<Item = &String> {
        self.matched.iter().map(|(claim, _)| claim).chain(&self.made)
    }
}

const GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NONE_LEFT: &str = "node(s) didn't find available persistent volumes to bind";

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

    fn as_reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }

    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        Some(self)
    }
}

impl PreFilter for VolumeBinding {
    fn pre_filter<'c>(&'c self, cycle: Cycle<'c>) -> Prepared<'c> {
        if cycle.pod.wishes().claims.is_empty() {
            return Prepared::Skip;
        }
        match self.needs(cycle) {
            Ok(needs) => Prepared::Filter(Box::new(needs)),
            Err(why) => Prepared::Reject(Rejection::unresolvable(why)),
        }
    }
}

/// A claim that waits for its pod's node.
struct Late<'c> {
    name: &'c str,
    claim: &'c PersistentVolumeClaim,
    class: &'c Class,
    /// Where its volume is to be made, where that is decided.
    node: Option<String>,
    /// Volumes that may be the claim's.
    volumes: Vec<&'c PersistentVolume>,
}

/// What a pod's claims need of a node.
struct Needs<'c> {
    /// The volumes of claims that are bound; None for one that is gone.
    bound: Vec<Option<&'c Arc<Volume>>>,
    /// Those that ask for little first, so that they get the small volumes.
    late: Vec<Late<'c>>,
}

impl VolumeBinding {
    /// The error says why no node can do.
    fn needs<'c>(&self, cycle: Cycle<'c>) -> Result<Needs<'c>, String> {
        let (cluster, namespace) = (cycle.cluster, cycle.pod.namespace.as_str());
        let mut needs = Needs { bound: Vec::new(), late: Vec::new() };
        for name in &cycle.pod.wishes().claims {
            let Some(claim) = cluster.claim(namespace, name) else {
                return Err(format!("persistentvolumeclaim {name:?} not found"));
            };
            if claim.terminating {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if let Some(volume) = &claim.volume {
                needs.bound.push(cluster.volume(volume));
                continue;
            }
            let class = cluster.class(&claim.class).filter(|class| class.binds_late);
            let names_volume = |claim: &PersistentVolumeClaim| {
                claim
                    .spec
                    .as_ref()
                    .is_some_and(|spec| spec.volume_name.as_ref().is_some_and(|name| !name.is_empty()))
            };
            match (&claim.unbound, class) {
                (Some(unbound), Some(class)) if !names_volume(unbound) => {
                    needs.late.push(self.late(cycle, name, unbound, class));
                }
                _ => return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
            }
        }
        needs.late.sort_by_key(|late| wanted(late.claim));
        Ok(needs)
    }

    fn late<'c>(
        &self,
        cycle: Cycle<'c>,
        name: &'c str,
        claim: &'c PersistentVolumeClaim,
        class: &'c Class,
    ) -> Late<'c> {
        let mut chosen = self.chosen.lock();
        chosen.retain(|_, one| {
            !one.told || one.claims().any(|claim| is_unbound(cycle.cluster, &one.namespace, claim))
        });
        let others = || chosen.iter().filter(|(uid, _)| **uid != cycle.pod.uid).map(|(_, chosen)| chosen);
        // Another pod may use the same claim, and be ahead.
        let same = others().filter(|other| other.namespace == cycle.pod.namespace);
        let mut node = selected_node(claim).map(str::to_owned);
        let mut kept = None;
        for other in same {
            if other.made.iter().any(|made| made == name) {
                node = Some(other.node.clone());
            }
            let matched = other.matched.iter().find(|(claim, _)| claim == name);
            kept = matched.map(|(_, volume)| volume.clone()).or(kept);
        }
        let taken = |volume: &str| others().any(|other| other.matched.iter().any(|(_, name)| name == volume));
        let wanted_class = api::volume::class_of_claim(claim);
        let volumes = cycle.cluster.volumes().filter_map(|(volume_name, volume)| {
            let volume: &'c PersistentVolume = volume.unbound.as_deref()?;
            let may = match &kept {
                Some(kept) => kept == volume_name,
                None => {
                    is_bound_to(volume, claim)
                        || !taken(volume_name) && class_of_volume(volume) == wanted_class
                }
            };
            may.then_some(volume)
        });
        Late { name, claim, class, node, volumes: volumes.collect() }
    }
}

fn is_unbound(cluster: &Cluster, namespace: &str, claim: &str) -> bool {
    cluster.claim(namespace, claim).is_some_and(|claim| claim.volume.is_none())
}

fn view(node: &NodeInfo) -> NodeView<'_> {
    NodeView { name: node.name(), labels: node.labels() }
}

impl Needs<'_> {
    /// What the late claims would get on a node; None where one would get nothing.
    fn choose(&self, node: &NodeInfo) -> Option<Chosen> {
        let mut chosen = Chosen { node: node.name().to_owned(), ..Chosen::default() };
        for late in &self.late {
            if late.node.as_ref().is_some_and(|selected| selected != node.name()) {
                return None;
            }
            let found = late.node.is_none().then(|| {
                let free = late.volumes.iter().copied().filter(|volume| {
                    let name = volume.metadata.name.as_deref().unwrap_or_default();
                    chosen.matched.iter().all(|(_, taken)| taken != name)
                });
                best(late.claim, free, Binding::On(view(node)))
            });
            match found.flatten().and_then(|volume| volume.metadata.name.clone()) {
                Some(volume) => chosen.matched.push((late.name.to_owned(), volume)),
                None if late.class.provisions_on(node.labels()) => chosen.made.push(late.name.to_owned()),
                None => return None,
            }
        }
        Some(chosen)
    }
}

impl Filter for Needs<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        for volume in &self.bound {
            let Some(volume) = volume else { return Err(Rejection::unresolvable(GONE)) };
            if volume.nodes.as_ref().is_some_and(|nodes| !matches(nodes, view(node))) {
                return Err(Rejection::unresolvable(ELSEWHERE));
            }
        }
        match self.choose(node) {
            Some(_) => Ok(()),
            None => Err(Rejection::unresolvable(NONE_LEFT)),
        }
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, cycle: Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        if cycle.pod.wishes().claims.is_empty() {
            return Ok(());
        }
        let needs = self.needs(cycle).map_err(Rejection::unresolvable)?;
        if needs.late.is_empty() {
            return Ok(());
        }
        let Some(mut chosen) = needs.choose(node) else { return Err(Rejection::unresolvable(NONE_LEFT)) };
        chosen.namespace.clone_from(&cycle.pod.namespace);
        self.chosen.lock().insert(cycle.pod.uid.clone(), chosen);
        Ok(())
    }

    fn unreserve(&self, pod: &PodInfo, _: &str) {
        self.chosen.lock().remove(&pod.uid);
    }
}

#[async_trait]
impl PreBind for VolumeBinding {
    async fn pre_bind(&self, context: &BindContext, pod: &PodInfo, _: &str) -> Result<(), String> {
        let chosen = self.chosen.lock().get(&pod.uid).cloned();
        let Some(chosen) = chosen else { return Ok(()) };
        bind::carry_out(&context.transport, pod, &chosen).await?;
        if let Some(chosen) = self.chosen.lock().get_mut(&pod.uid) {
            chosen.told = true;
        }
        Ok(())
    }
}
