//! Which volume satisfies a claim (component-helpers' `FindMatchingVolume`).

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::labels::Selector;
use apimachinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::node::{self, NodeView};

/// Where the class stood before it had a field.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The class that a claim asks for; "" is none.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> String {
    let annotation = claim.metadata.annotations.as_ref().and_then(|all| all.get(CLASS));
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotation.or(field).cloned().unwrap_or_default()
}

/// Whether the claim names any class, be it none.
pub fn names_class(claim: &PersistentVolumeClaim) -> bool {
    let annotated = claim.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(CLASS));
    annotated || claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_some())
}

/// The class that a volume is of; "" is none.
pub fn class_of_volume(volume: &PersistentVolume) -> String {
    let annotation = volume.metadata.annotations.as_ref().and_then(|all| all.get(CLASS));
    let field = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotation.or(field).cloned().unwrap_or_default()
}

/// What a volume that is tied to the claim says of it.
pub fn reference_to(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        field_path: None,
    }
}

/// Whether the volume is the claim's, or kept for it.
pub fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let same_uid = match reference.uid.as_deref() {
        None | Some("") => true,
        uid => uid == claim.metadata.uid.as_deref(),
    };
    reference.name == claim.metadata.name && reference.namespace == claim.metadata.namespace && same_uid
}

fn storage(amounts: Option<&BTreeMap<String, Text>>) -> Quantity {
    let amount = amounts.and_then(|amounts| amounts.get("storage"));
    amount.and_then(|amount| Quantity::parse(&amount.0).ok()).unwrap_or(Quantity::ZERO)
}

fn size(volume: &PersistentVolume) -> Quantity {
    storage(volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()))
}

/// How much a claim asks for.
pub fn wanted(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    storage(resources.and_then(|resources| resources.requests.as_ref()))
}

fn is_large_enough(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    size(volume) >= wanted(claim)
}

/// Whether one is a file system and the other a block device.
pub fn modes_differ(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let of_volume = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    of_volume.unwrap_or("Filesystem") != of_claim.unwrap_or("Filesystem")
}

fn attributes_differ(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let of_volume = volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    of_volume.unwrap_or("") != of_claim.unwrap_or("")
}

fn access_modes(volume: &PersistentVolume) -> &[String] {
    volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default()
}

fn has_access_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let mut wanted = claim.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten());
    wanted.all(|mode| access_modes(volume).contains(mode))
}

/// Why a volume that a claim names does not do.
pub fn objection(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    if !is_large_enough(volume, claim) {
        Some("requested PV is too small")
    } else if class_of_volume(volume) != class_of_claim(claim) {
        Some("storageClassName does not match")
    } else if attributes_differ(volume, claim) {
        Some("volumeAttributesClassName does not match")
    } else if modes_differ(volume, claim) {
        Some("incompatible volumeMode")
    } else if !has_access_modes(volume, claim) {
        Some("incompatible accessMode")
    } else {
        None
    }
}

/// When a claim is bound.
#[derive(Clone, Copy, Debug)]
pub enum Binding<'a> {
    /// At once.
    Immediate,
    /// When a pod is placed: until then it gets only what is kept for it.
    Late,
    /// For a pod on this node, which must be able to mount the volume.
    On(NodeView<'a>),
}

/// The volume kept for the claim, or else the smallest of those with the
/// fewest access modes.
pub fn best<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl IntoIterator<Item = &'a PersistentVolume>,
    binding: Binding<'_>,
) -> Option<&'a PersistentVolume> {
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.as_ref()).map(|selector| {
        let tree = Value::from_serialize(selector).unwrap_or_default();
        Selector::of_label_selector(&tree).unwrap_or_else(|_| Selector::nothing())
    });
    let class = class_of_claim(claim);
    let fits = |volume: &&PersistentVolume| {
        has_access_modes(volume, claim)
            && is_large_enough(volume, claim)
            && !modes_differ(volume, claim)
            && !attributes_differ(volume, claim)
            && volume.metadata.deletion_timestamp.is_none()
    };
    let fitting: Vec<&PersistentVolume> = volumes.into_iter().filter(fits).collect();
    let reaches = |volume: &PersistentVolume| match binding {
        Binding::On(node) => can_mount(volume, node),
        Binding::Immediate | Binding::Late => true,
    };
    if let Some(kept) = fitting.iter().find(|volume| is_bound_to(volume, claim)) {
        return Some(*kept).filter(|volume| reaches(volume));
    }
    if matches!(binding, Binding::Late) {
        return None;
    }
    let is_free = |volume: &&PersistentVolume| {
        let labels = volume.metadata.labels.clone().unwrap_or_default();
        volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none())
            && volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available")
            && selector.as_ref().is_none_or(|selector| selector.matches(&labels))
            && class_of_volume(volume) == class
            && reaches(volume)
    };
    let free = fitting.into_iter().filter(is_free);
    free.min_by(|a, b| {
        let modes = access_modes(a).len().cmp(&access_modes(b).len());
        modes.then_with(|| size(a).cmp(&size(b))).then_with(|| a.metadata.name.cmp(&b.metadata.name))
    })
}

/// Whether a node can mount a volume, as far as its node affinity tells.
pub fn can_mount(volume: &PersistentVolume, on: NodeView<'_>) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    required.is_none_or(|required| node::matches(required, on))
}
