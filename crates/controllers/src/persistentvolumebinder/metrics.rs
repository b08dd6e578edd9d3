//! What the binder tells of volumes and claims (`pv_collector_…`), counted when
//! somebody asks.

use std::collections::BTreeMap;

use informer::{Informer, Whole};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serve::families::{Description, Families, Sample};

pub(super) fn publish(
    families: &Families,
    volumes: &Informer<Whole<PersistentVolume>>,
    claims: &Informer<Whole<PersistentVolumeClaim>>,
) {
    let of = |name, help, labels| Description { name, help, labels };
    let (all, bound, unbound) = (volumes.clone(), volumes.clone(), volumes.clone());
    families.counted(
        of(
            "pv_collector_total_pv_count",
            "[ALPHA] Gauge measuring total number of persistent volumes",
            &["plugin_name", "volume_mode"],
        ),
        move || tally(all.list().iter().map(|volume| [plugin(&volume.0), mode(&volume.0)])),
    );
    families.counted(
        of(
            "pv_collector_bound_pv_count",
            "[ALPHA] Gauge measuring number of persistent volume currently bound",
            &["storage_class"],
        ),
        move || tally(bound.list().iter().filter(|one| is_bound(&one.0)).map(|one| [class(&one.0)])),
    );
    families.counted(
        of(
            "pv_collector_unbound_pv_count",
            "[ALPHA] Gauge measuring number of persistent volume currently unbound",
            &["storage_class"],
        ),
        move || tally(unbound.list().iter().filter(|one| !is_bound(&one.0)).map(|one| [class(&one.0)])),
    );
    let labels = &["namespace", "storage_class", "volume_attributes_class"];
    let (bound, unbound) = (claims.clone(), claims.clone());
    families.counted(
        of(
            "pv_collector_bound_pvc_count",
            "[ALPHA] Gauge measuring number of persistent volume claim currently bound",
            labels,
        ),
        move || tally(bound.list().iter().filter(|one| has_volume(&one.0)).map(|one| of_claim(&one.0))),
    );
    families.counted(
        of(
            "pv_collector_unbound_pvc_count",
            "[ALPHA] Gauge measuring number of persistent volume claim currently unbound",
            labels,
        ),
        move || tally(unbound.list().iter().filter(|one| !has_volume(&one.0)).map(|one| of_claim(&one.0))),
    );
}

/// How often each set of labels occurs.
fn tally<const N: usize>(all: impl Iterator<Item = [String; N]>) -> Vec<Sample> {
    let mut counts: BTreeMap<[String; N], u32> = BTreeMap::new();
    all.for_each(|labels| *counts.entry(labels).or_default() += 1);
    counts.into_iter().map(|(labels, count)| (labels.into(), f64::from(count))).collect()
}

fn is_bound(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn has_volume(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn class(volume: &PersistentVolume) -> String {
    volume.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default()
}

fn mode(volume: &PersistentVolume) -> String {
    let mode = volume.spec.as_ref().and_then(|spec| spec.volume_mode.clone());
    mode.unwrap_or_else(|| "Filesystem".into())
}

fn of_claim(claim: &PersistentVolumeClaim) -> [String; 3] {
    let spec = claim.spec.clone().unwrap_or_default();
    [
        claim.metadata.namespace.clone().unwrap_or_default(),
        spec.storage_class_name.unwrap_or_default(),
        spec.volume_attributes_class_name.unwrap_or_default(),
    ]
}

/// The plugin that upstream's controller would take, where it has one.
pub fn plugin(volume: &PersistentVolume) -> String {
    let Some(spec) = &volume.spec else { return "N/A".into() };
    if let Some(csi) = &spec.csi {
        return format!("kubernetes.io/csi:{}", csi.driver);
    }
    let known = [
        (spec.host_path.is_some(), "kubernetes.io/host-path"),
        (spec.nfs.is_some(), "kubernetes.io/nfs"),
        (spec.iscsi.is_some(), "kubernetes.io/iscsi"),
    ];
    known.into_iter().find(|(is, _)| *is).map_or("N/A", |(_, name)| name).into()
}
