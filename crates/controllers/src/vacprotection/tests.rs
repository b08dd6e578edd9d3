//! Table tests of protection.

use apimachinery::value;

use super::plan::{Claim, Class, FINALIZER, Volume, plan};
use crate::protection::Action;

#[test]
fn classes_are_protected_while_they_are_named() {
    for (terminating, protected, used, expected) in [
        (false, false, false, Action::Protect),
        (false, true, false, Action::Nothing),
        (true, true, true, Action::Nothing),
        (true, true, false, Action::Free),
        (true, false, false, Action::Nothing),
    ] {
        let mut class = value!({"metadata": {"name": "c"}, "driverName": "d"});
        if terminating {
            class.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
        }
        if protected {
            class.set_at(&["metadata", "finalizers"], value!([FINALIZER]));
        }
        let class = Class::of(&class.decode().unwrap());
        assert_eq!(plan(&class, used), expected, "{class:?} {used}");
    }
}

#[test]
fn claims_and_volumes_name_classes() {
    let claim = value!({
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {"volumeAttributesClassName": "wanted"},
        "status": {
            "currentVolumeAttributesClassName": "had",
            "modifyVolumeStatus": {"status": "Pending", "targetVolumeAttributesClassName": "next"}
        }
    });
    assert_eq!(Claim::of(claim.decode().unwrap()).classes, ["wanted", "had", "next"]);
    let volume = value!({"metadata": {"name": "v"}, "spec": {"volumeAttributesClassName": ""}});
    assert!(Volume::of(volume.decode().unwrap()).classes.is_empty());
}
