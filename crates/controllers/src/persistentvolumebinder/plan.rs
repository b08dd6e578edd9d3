//! What a claim and a volume need next. Pure.

use api::volume::{
    Binding, best, class_of_claim, is_bound_to, modes_differ, names_class, objection, reference_to,
};
use informer::EventType;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use k8s_openapi::api::storage::v1::StorageClass;

pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONER: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// One write, in order. A status is written whatever has been written before.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Volume(Box<PersistentVolume>),
    VolumeStatus(Box<PersistentVolume>),
    Claim(Box<PersistentVolumeClaim>),
    ClaimStatus(Box<PersistentVolumeClaim>),
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Claim,
    Volume,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub writes: Vec<Write>,
    pub events: Vec<(About, EventType, &'static str, String)>,
}

/// What was seen of a claim.
pub struct ClaimSeen<'a> {
    pub claim: &'a PersistentVolumeClaim,
    pub volumes: Vec<&'a PersistentVolume>,
    pub classes: Vec<&'a StorageClass>,
    /// Names of pods that use it and have no node yet.
    pub waiting_pods: Vec<String>,
}

fn annotation<'a>(
    metadata: &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    key: &str,
) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("")
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("")
}

impl Plan {
    fn event(&mut self, about: About, kind: EventType, reason: &'static str, message: impl Into<String>) {
        self.events.push((about, kind, reason, message.into()));
    }

    /// Writes the claim's phase where it has another, with an event where one is given.
    fn claim_phase(
        mut self,
        claim: &PersistentVolumeClaim,
        to: &str,
        event: Option<(&'static str, &str)>,
    ) -> Self {
        if phase(claim) == to {
            return self;
        }
        let mut claim = claim.clone();
        claim.status.get_or_insert_default().phase = Some(to.to_owned());
        self.writes.push(Write::ClaimStatus(Box::new(claim)));
        if let Some((reason, message)) = event {
            self.event(About::Claim, EventType::Warning, reason, message);
        }
        self
    }

    fn volume_phase(mut self, volume: &PersistentVolume, to: &str, message: &str) -> Self {
        let before = volume.status.clone().unwrap_or_default();
        if before.phase.as_deref() == Some(to) && before.message.as_deref().unwrap_or("") == message {
            return self;
        }
        let mut volume = volume.clone();
        let status = volume.status.get_or_insert_default();
        status.phase = Some(to.to_owned());
        status.message = Some(message.to_owned()).filter(|message| !message.is_empty());
        self.writes.push(Write::VolumeStatus(Box::new(volume)));
        self
    }
}

/// The next step of a claim.
pub fn plan_claim(seen: &ClaimSeen<'_>) -> Plan {
    if annotation(&seen.claim.metadata, BIND_COMPLETED).is_some() {
        return bound_claim(seen);
    }
    let claim = seen.claim;
    let name = volume_name(claim);
    if name.is_empty() {
        return free_claim(seen);
    }
    let mut plan = Plan::default();
    let Some(volume) = find(seen, name) else { return plan.claim_phase(claim, "Pending", None) };
    let is_free = volume.spec.as_ref().is_none_or(|spec| spec.claim_ref.is_none());
    if is_free {
        let Some(why) = objection(volume, claim) else { return bind(volume, claim) };
        let message = format!("Cannot bind to requested volume {name:?}: {why}");
        plan.event(About::Claim, EventType::Warning, "VolumeMismatch", message);
    } else if is_bound_to(volume, claim) {
        return bind(volume, claim);
    } else {
        let message = format!("volume {name:?} already bound to a different claim.");
        plan.event(About::Claim, EventType::Warning, "FailedBinding", message);
    }
    plan.claim_phase(claim, "Pending", None)
}

fn find<'a>(seen: &ClaimSeen<'a>, name: &str) -> Option<&'a PersistentVolume> {
    seen.volumes.iter().find(|volume| volume.metadata.name.as_deref() == Some(name)).copied()
}

/// A claim that was bound once.
fn bound_claim(seen: &ClaimSeen<'_>) -> Plan {
    let (claim, plan) = (seen.claim, Plan::default());
    let name = volume_name(claim);
    let lost = |reason, message| Plan::default().claim_phase(claim, "Lost", Some((reason, message)));
    if name.is_empty() {
        return lost(
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        );
    }
    let Some(volume) = find(seen, name) else {
        return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    match reference {
        Some(reference) if reference.uid != claim.metadata.uid => {
            lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
        }
        // A lost claim stays lost.
        _ if phase(claim) == "Lost" => plan,
        _ => bind(volume, claim),
    }
}

/// A claim that takes what fits.
fn free_claim(seen: &ClaimSeen<'_>) -> Plan {
    let (claim, mut plan) = (seen.claim, Plan::default());
    let name = class_of_claim(claim);
    let class = seen.classes.iter().find(|class| class.metadata.name.as_deref() == Some(&name));
    let delayed =
        class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
    let binding = if delayed { Binding::Late } else { Binding::Immediate };
    if let Some(volume) = best(claim, seen.volumes.iter().copied(), binding) {
        return bind(volume, claim);
    }
    if !names_class(claim)
        && let Some(class) = default_class(&seen.classes)
    {
        let mut claim = claim.clone();
        claim.spec.get_or_insert_default().storage_class_name = class.metadata.name.clone();
        plan.writes.push(Write::Claim(Box::new(claim)));
        return plan;
    }
    let normal = EventType::Normal;
    if delayed && annotation(&claim.metadata, SELECTED_NODE).is_none() {
        match seen.waiting_pods.as_slice() {
            [] => {
                let message = "waiting for first consumer to be created before binding";
                plan.event(About::Claim, normal, "WaitForFirstConsumer", message);
            }
            [pod] => {
                let message = format!("waiting for pod {pod} to be scheduled");
                plan.event(About::Claim, normal, "WaitForPodScheduled", message);
            }
            pods => {
                let message = format!("waiting for pods {} to be scheduled", pods.join(","));
                plan.event(About::Claim, normal, "WaitForPodScheduled", message);
            }
        }
    } else if !name.is_empty() {
        return provision(claim, &name, class.copied());
    } else {
        let message = "no persistent volumes available for this claim and no storage class is set";
        plan.event(About::Claim, normal, "FailedBinding", message);
    }
    plan.claim_phase(claim, "Pending", None)
}

/// The newest class that is marked as the default.
fn default_class<'a>(classes: &[&'a StorageClass]) -> Option<&'a StorageClass> {
    let is_default = |class: &&&StorageClass| {
        DEFAULT_CLASS.iter().any(|key| annotation(&class.metadata, key) == Some("true"))
    };
    let created = |class: &StorageClass| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let defaults = classes.iter().filter(is_default).copied();
    // Of equals, the first by name.
    defaults.max_by(|a, b| created(a).cmp(&created(b)).then_with(|| b.metadata.name.cmp(&a.metadata.name)))
}

/// Says to the class's provisioner, which is somebody else, that a volume is wanted.
fn provision(claim: &PersistentVolumeClaim, name: &str, class: Option<&StorageClass>) -> Plan {
    let mut plan = Plan::default();
    let Some(class) = class else {
        let message = format!("storageclass.storage.k8s.io {name:?} not found");
        plan.event(About::Claim, EventType::Warning, "ProvisioningFailed", message);
        return plan.claim_phase(claim, "Pending", None);
    };
    let provisioner = &class.provisioner;
    if provisioner.starts_with("kubernetes.io/") {
        let message = format!("no volume plugin matched name: {provisioner}");
        plan.event(About::Claim, EventType::Warning, "ProvisioningFailed", message);
        return plan.claim_phase(claim, "Pending", None);
    }
    if PROVISIONER.iter().any(|key| annotation(&claim.metadata, key) != Some(provisioner)) {
        let mut claim = claim.clone();
        let annotations = claim.metadata.annotations.get_or_insert_default();
        annotations.extend(PROVISIONER.map(|key| (key.to_owned(), provisioner.clone())));
        plan.writes.push(Write::Claim(Box::new(claim)));
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually \
         by the system administrator. If volume creation is delayed, please verify that the provisioner is \
         running and correctly registered."
    );
    plan.event(About::Claim, EventType::Normal, "ExternalProvisioning", message);
    plan.claim_phase(claim, "Pending", None)
}

/// Ties both together: the volume first, so that nobody else gets it.
fn bind(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Plan {
    let mut plan = Plan::default();
    let mut bound = volume.clone();
    let spec = bound.spec.get_or_insert_default();
    let uid = spec.claim_ref.as_ref().and_then(|reference| reference.uid.as_ref());
    if uid.is_none() || uid != claim.metadata.uid.as_ref() {
        let was_kept = is_bound_to(volume, claim);
        spec.claim_ref = Some(reference_to(claim));
        if !was_kept {
            let annotations = bound.metadata.annotations.get_or_insert_default();
            annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        }
        plan.writes.push(Write::Volume(Box::new(bound.clone())));
    }
    plan = plan.volume_phase(&bound, "Bound", "");
    let mut taken = claim.clone();
    let is_new = volume_name(claim).is_empty();
    let annotations = taken.metadata.annotations.get_or_insert_default();
    let mut changed = annotations.insert(BIND_COMPLETED.into(), "yes".into()).is_none();
    if is_new {
        annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
        taken.spec.get_or_insert_default().volume_name = volume.metadata.name.clone();
        changed = true;
    }
    if changed {
        plan.writes.push(Write::Claim(Box::new(taken.clone())));
    }
    if phase(claim) != "Bound" {
        let spec = volume.spec.clone().unwrap_or_default();
        taken.status = Some(PersistentVolumeClaimStatus {
            phase: Some("Bound".into()),
            access_modes: spec.access_modes,
            capacity: spec.capacity,
            current_volume_attributes_class_name: spec.volume_attributes_class_name,
            ..taken.status.clone().unwrap_or_default()
        });
        plan.writes.push(Write::ClaimStatus(Box::new(taken)));
    }
    plan
}

/// The next step of a volume; `claim` is the one that it refers to.
pub fn plan_volume(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> Plan {
    let mut plan = Plan::default();
    let spec = volume.spec.clone().unwrap_or_default();
    let name = volume.metadata.name.as_deref().unwrap_or("");
    let uid = spec.claim_ref.as_ref().and_then(|reference| reference.uid.as_deref()).unwrap_or("");
    if uid.is_empty() {
        return plan.volume_phase(volume, "Available", "");
    }
    let claim = claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid));
    let Some(claim) = claim else { return reclaim(volume) };
    let taken = volume_name(claim);
    if taken.is_empty() {
        if modes_differ(volume, claim) {
            let of = claim.metadata.name.as_deref().unwrap_or("");
            let told = format!(
                "Cannot bind PersistentVolume to requested PersistentVolumeClaim {of:?} due to incompatible \
                 volumeMode."
            );
            plan.event(About::Volume, EventType::Warning, "VolumeMismatch", told);
            let told = format!(
                "Cannot bind PersistentVolume {name:?} to requested PersistentVolumeClaim due to incompatible \
                 volumeMode."
            );
            plan.event(About::Claim, EventType::Warning, "VolumeMismatch", told);
        }
        // The claim's own turn binds it.
        return plan;
    }
    if taken == name {
        return plan.volume_phase(volume, "Bound", "");
    }
    let provisioned = annotation(&volume.metadata, PROVISIONED_BY).is_some();
    if provisioned && spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete") {
        return reclaim(volume);
    }
    // The claim got another one.
    let mut free = volume.clone();
    let by_us = annotation(&volume.metadata, BOUND_BY_CONTROLLER).is_some();
    let spec = free.spec.get_or_insert_default();
    if by_us {
        spec.claim_ref = None;
        free.metadata.annotations.get_or_insert_default().remove(BOUND_BY_CONTROLLER);
    } else if let Some(reference) = &mut spec.claim_ref {
        reference.uid = None;
    }
    plan.writes.push(Write::Volume(Box::new(free.clone())));
    plan.volume_phase(&free, "Available", "")
}

/// A volume whose claim is gone.
fn reclaim(volume: &PersistentVolume) -> Plan {
    let name = volume.metadata.name.as_deref().unwrap_or("");
    let spec = volume.spec.clone().unwrap_or_default();
    let before = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let released = match before {
        Some("Released" | "Failed") => Plan::default(),
        _ => Plan::default().volume_phase(volume, "Released", ""),
    };
    let (reason, why) = match spec.persistent_volume_reclaim_policy.as_deref() {
        Some("Recycle") => ("VolumeFailedRecycle", "No recycler plugin found for the volume!".to_owned()),
        // Its provisioner deletes what it made.
        Some("Delete") if annotation(&volume.metadata, PROVISIONED_BY).is_none() => {
            let why = "no deletable volume plugin matched";
            ("VolumeFailedDelete", format!("error getting deleter volume plugin for volume {name:?}: {why}"))
        }
        _ => return released,
    };
    let mut plan = Plan::default().volume_phase(volume, "Failed", &why);
    if !plan.writes.is_empty() {
        plan.event(About::Volume, EventType::Warning, reason, why);
    }
    plan
}
